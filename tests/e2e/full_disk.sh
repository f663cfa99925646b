# SPDX-License-Identifier: Apache-2.0
# A full disk costs one profile, says so in a line, and the session goes on.
. "$(dirname "$0")/lib.sh" || exit 1

mkdir disk
mount -t tmpfs -o size=256k tmpfs disk 2>/dev/null || skip "mounting a small file system needs root"
cleanup() { kill -KILL "$target" "$watcher" 2>/dev/null; sleep 0.1; umount -l "$work/disk"; }

"$LEAKWATCH" run -q --exact -o disk/out -- "$TARGETS/target-still" >out.stdout 2>out.stderr &
watcher=$!
wait_until 60 grep -qx ready out.stdout || fail "not ready"
target=$(sed -n 's/^pid //p' out.stdout)
cat /dev/zero >disk/filler 2>/dev/null
kill -USR1 "$watcher"
wait_until 60 grep -q 'no space left' out.stderr || fail "nothing was said: $(cat out.stderr)"
expect "lines" "$(wc -l <out.stderr)" 1
expect "what the failed profile left" "$(ls -A disk/out)" ""
rm disk/filler
kill -USR1 "$watcher"
wait_until 60 test -e disk/out/heap.0001.pb.gz || fail "no profile after there was space again"
expect_truth disk/out/heap.0001.pb.gz out.stdout
kill -TERM "$watcher"
wait "$watcher"
expect "status" "$?" 143
