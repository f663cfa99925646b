# SPDX-License-Identifier: Apache-2.0
# Stacks that nobody announced (fibers, alternate stacks, code made at run time) and stacks that are too deep end with a
# mark; nothing crashes and nothing is lost.
. "$(dirname "$0")/lib.sh" || exit 1

watch_exactly "$TARGETS/target-odd-stacks"
watch -q --exact --max-depth 16 -- "$TARGETS/target-odd-stacks"
expect "status" "$?" 0
expect_truth "$(last_profile)" out.stdout
depths() { samples "$1" | awk '{ print gsub(";", "") + 1 }' | sort -n; }
depth=$(depths "$(last_profile)" | tail -1)
expect "the deepest stack, with its mark" "$depth" 17
