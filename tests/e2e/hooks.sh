# SPDX-License-Identifier: Apache-2.0
# Every function that we stand in front of is recorded, once, with the size that was asked for.
. "$(dirname "$0")/lib.sh" || exit 1

watch_exactly "$TARGETS/target-hooks"
watch_exactly "$TARGETS/target-operators"
