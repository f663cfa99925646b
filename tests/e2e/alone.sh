# SPDX-License-Identifier: Apache-2.0
# A thread that is alone for a while writes no time stamps for its allocations, until another one breaks in: exact over
# some hundred of such changes, with addresses that go to and fro between the two.
. "$(dirname "$0")/lib.sh" || exit 1

watch_exactly "$TARGETS/target-alone" 4 1
watch_exactly "$TARGETS/target-alone" 4 3
watch_exactly "$TARGETS/target-alone" 4 64
