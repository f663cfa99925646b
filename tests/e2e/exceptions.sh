# SPDX-License-Identifier: Apache-2.0
#
# libunwind's _Unwind_* must not take over the exceptions of a program that gets its own unwinder late.
. "$(dirname "$0")/lib.sh" || exit 1

library="$TARGETS/liblate_throw.so"
readelf -d "$TARGETS/target-late_throw" | grep -q 'NEEDED.*libgcc' && fail 'the target has libgcc from its start'
watch --exact -- "$TARGETS/target-late_throw" "$library" || fail "status $?: $(cat out.stdout out.stderr)"
expect 'exceptions caught' "$(cat out.stdout)" 1000
read -r objects _ inuse _ <<<"$(sums "$(last_profile)" throw_and_catch)"
[ "$objects" -ge 2000 ] || fail "only $objects allocations seen below throw_and_catch"
[ "$inuse" -le 2 ] || fail "$inuse blocks of exceptions seem to live"
