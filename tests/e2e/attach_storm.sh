# SPDX-License-Identifier: Apache-2.0
# A thousand times attached and detached in the middle of a storm of allocations, forks, dlopen, dlclose and signals:
# the program's results are right, and nothing grows.
. "$(dirname "$0")/attach_lib.sh" || exit 1

library=$TARGETS/libtarget-twin-first.so
listen_well --last "$TARGETS/target-attach-storm" "$object" "$library" 700
grep -qx 'done' out.stdout || fail "it did not come to its end: $(cat out.stdout)"
cat out.stdout
listen_well --last --exact "$TARGETS/target-attach-storm" "$object" "$library" 300
grep -qx 'done' out.stdout || fail "it did not come to its end: $(cat out.stdout)"
cat out.stdout
