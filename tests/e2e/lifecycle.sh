# SPDX-License-Identifier: Apache-2.0
# Before main, in ending threads and after main.
. "$(dirname "$0")/lib.sh" || exit 1

watch_exactly "$TARGETS/target-lifecycle"
