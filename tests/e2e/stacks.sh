# SPDX-License-Identifier: Apache-2.0
#
# Stacks that are hard to unwind come out as they were, end where they must with a mark, and never show our own frames.
. "$(dirname "$0")/lib.sh" || exit 1

end='main;.*_start'
root="$end$"

# stack SIZE: the frames of the one sample whose block had SIZE bytes
stack() { "$PROFILE_DUMP" "$(last_profile)" | awk -v size="$1" '$1 == "sample" && $3 == size' | cut -d' ' -f7-; }

check_all() {
  expect_match qsort "$(stack 1001)" "^sorted_leaf;sort_compare;.*;through_qsort;$root"
  expect_match bsearch "$(stack 1002)" "^search_compare;.*through_bsearch;$root"
  expect_match realigned "$(stack 1004)" "^realigned;with_alloca;$root"
  expect_match handler "$(stack 1005)" "^on_signal;.*interrupted_here;(through_signals;)?$root"
  expect_match 'alternate stack' "$(stack 1006)" "^on_signal;.*interrupted_here;(through_signals;)?$root"
  expect_match fiber "$(stack 1007)" "^fiber_leaf;fiber;"
  expect_match jit "$(stack 1008)" '^called_from_jit;\[unknown code\]'
  expect_match 'noreturn tail' "$(stack 1009)" "^never_returns;noreturn_tail;$root"
}

watch --exact -- "$TARGETS/target-stacks" || fail "status $?: $(cat out.stderr)"
check_all
expect_match 'default depth' "$(stack 1003)" '^(recurse;){128}\[leakwatch: deeper frames cut\]$'
"$PROFILE_DUMP" "$(last_profile)" | grep -i 'libleakwatch\|leakwatch::' && fail 'our own frames show'

watch --exact --max-depth 5 -- "$TARGETS/target-stacks" || fail "status $?"
expect_match 'depth 5' "$(stack 1003)" '^(recurse;){5}\[leakwatch: deeper frames cut\]$'
watch --exact --max-depth 1024 -- "$TARGETS/target-stacks" || fail "status $?"
expect_match 'depth 1024' "$(stack 1003)" "^(recurse;){301}$root"
check_all

# Without symbols the unwind tables are still there: as many frames as before, named by their place.
with=$(stack 1001 | tr ';' '\n' | wc -l)
strip -o stripped "$TARGETS/target-stacks"
watch --exact -- ./stripped || fail "status $?"
without=$(stack 1001)
expect 'frames of the stripped program' "$(tr ';' '\n' <<<"$without" | wc -l)" "$with"
expect_match 'names of the stripped program' "$without" '^stripped\+0x[0-9a-f]+;stripped\+0x[0-9a-f]+;'
