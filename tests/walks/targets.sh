# SPDX-License-Identifier: Apache-2.0
# Walks that are remembered are those that would be done: in programs with unusual stacks, many stacks, many threads,
# libraries that come and go, and cut stacks.
. "$(dirname "$0")/walks_lib.sh" || exit 1

touch gate  # nobody has to wait
twins=("$TARGETS/libtarget-twin-first.so" "$TARGETS/libtarget-twin-second.so")
while read -r target arguments; do
  # shellcheck disable=SC2086
  watch -q --exact -- "$TARGETS/target-$target" $arguments || fail "status $? of $target: $(cat out.stderr)"
  expect_agreement "$target" 0
done <<TARGETS
hooks
stacks
odd-stacks
exchange 8 20000 4096
storm 4 50000 gate
signals 20000
mixture
threads-cpp
reload ${twins[*]} 100
TARGETS
watch -q --exact --max-depth 5 -- "$TARGETS/target-storm" 4 50000 gate || fail "status $?"
expect_agreement "storm, cut" 50
watch_exactly "$TARGETS/target-many-stacks" 14
expect_agreement "many stacks" 0
