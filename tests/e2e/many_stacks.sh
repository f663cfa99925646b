# SPDX-License-Identifier: Apache-2.0
# Thousands of different stacks: none is confused with another, none is refused, and each stands for its own block.
. "$(dirname "$0")/lib.sh" || exit 1

watch_exactly "$TARGETS/target-many-stacks" 14
expect "different stacks" "$(samples "$(last_profile)" | grep -c ' leaf_block;')" 16384
