# SPDX-License-Identifier: Apache-2.0
# Woken and put to sleep again and again in the middle of a storm of allocations, forks, dlopen, dlclose and signals:
# the program's results are right, and nothing is left.
. "$(dirname "$0")/lib.sh" || exit 1

object=$(realpath "$(dirname "$LEAKWATCH")/../preload/libleakwatch.so")
LD_PRELOAD=$object "$TARGETS/target-attach-storm" "$object" "$TARGETS/libtarget-twin-first.so" 0 >out.stdout &
target=$!
wait_until 60 grep -qsx ready out.stdout || fail "the target is not ready"
visit() { # FOLDER [OPTION...]
  local folder=$1; shift
  "$(dirname "$TARGETS")/without-ptrace" "$LEAKWATCH" attach -i 1h "$@" --duration 10ms -o "$folder" "$target" 2>"$folder.stderr"
  expect "status of $folder" "$?" 0
  [ "$(totals "$folder/heap.0001.pb.gz" | cut -d' ' -f1)" -gt 0 ] || fail "$folder saw nothing: $(cat "$folder.stderr")"
  expect "complaints of $folder" "$(grep -E 'could not|has not' "$folder.stderr")" ""
  grep -q 'memfd:leakwatch' "/proc/$target/maps" && fail "$folder left its memory behind"
}
for ((round = 1; round <= 3; round++)); do
  visit "sampled.$round" --sample-interval 4KiB
  visit "exact.$round" --exact
done
kill -TERM "$target"
wait "$target"
expect "status of the program" "$?" 0
cat out.stdout
grep -qx 'done' out.stdout || fail "it did not come to its end: $(cat out.stdout)"
target=
