# SPDX-License-Identifier: Apache-2.0
# Children of every making: they end well, and the parent, whose other threads allocate meanwhile, stays exact.
. "$(dirname "$0")/lib.sh" || exit 1

for how in fork vfork spawn grandchild daemon; do
  echo "$how"
  watch_exactly "$TARGETS/target-forks" "$how"
done
