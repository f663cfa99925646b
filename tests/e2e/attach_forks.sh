# SPDX-License-Identifier: Apache-2.0
# Children of a program that is attached to: they go their own ways, and the parent stays exact.
. "$(dirname "$0")/attach_lib.sh" || exit 1

listen_well --exact "$TARGETS/target-attach-forks" "$object"
expect_truth "$(last_profile)" out.stdout
