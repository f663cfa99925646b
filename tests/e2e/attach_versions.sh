# SPDX-License-Identifier: Apache-2.0
# Another build of leakwatch has been in the process before: it is told apart, and either works or is refused in words.
. "$(dirname "$0")/lib.sh" || exit 1

build=$(realpath "$(dirname "$LEAKWATCH")/..")
for tool in objcopy readelf; do command -v $tool >/dev/null || skip "$tool is not installed (apt-get install binutils)"; done

# The same program and object in a place of their own, and the object under another build id.
mkdir -p other/cli other/preload
cp "$LEAKWATCH" other/cli/leakwatch
for object in libleakwatch.so libleakwatch-operators.so; do
  cp "$build/preload/$object" "other/preload/$object"  # objcopy writes its input anew, and others have that mapped
  objcopy --dump-section .note.gnu.build-id=note "other/preload/$object" || skip "the object has no build id"
  # The last byte of the note is the last of the id.
  size=$(stat -c %s note)
  last=$(tail -c 1 note | od -An -tu1)
  { head -c $((size - 1)) note; printf "\\x$(printf %02x $(((last + 1) % 256)))"; } >changed
  objcopy --update-section .note.gnu.build-id=changed "other/preload/$object"
done
build_id() { readelf -n "$1" | sed -n 's/.*Build ID: //p'; }
[ "$(build_id other/preload/libleakwatch.so)" != "$(build_id "$build/preload/libleakwatch.so")" ] || fail "the same build id"
ours=$LEAKWATCH other=$work/other/cli/leakwatch

round=0
start() { # [VARIABLE...]
  rm -f out.stdout
  env "$@" "$TARGETS/target-asleep" >out.stdout &
  target=$!
  round=0
  wait_until 60 grep -qs '^pid ' out.stdout || fail "the target is not ready"
}
keep() {
  kill -USR2 "$target"
  wait_until 60 grep -qsx "kept $((++round)) by $target" out.stdout || fail "no round $round: $(cat out.stdout)"
}
joined() { grep -qs 'memfd:leakwatch' "/proc/$target/maps"; }
# join LEAKWATCH FOLDER
join() {
  "$1" attach -i 1h --exact -o "$2" "$target" 2>"$2.stderr" &
  watcher=$!
  wait_until 60 grep -qs '^leakwatch: watching' "$2.stderr" || fail "no session: $(cat "$2.stderr")"
}
# visit LEAKWATCH FOLDER: joins, sees ten blocks, leaves
visit() {
  join "$1" "$2"
  keep
  kill -INT "$watcher"
  wait "$watcher"
  expect "status of $2" "$?" 0
  expect "what $2 saw" "$(sums "$(ls "$2"/heap.*.pb.gz | tail -1)" kept_block)" "10 10000 10 10000"
  joined && fail "the shared memory is still there after $2"
}
end() {
  kill -TERM "$target"
  wait "$target"
  expect "status of the target" "$?" 0
  target=
}

echo "attached to by the other one before"
start A=1
visit "$other" first
"$ours" attach -o refused "$target" 2>refused.stderr
expect "status for another version" "$?" 126
expect_match "message for another version" "$(cat refused.stderr)" "another version of leakwatch's object"
[ ! -e refused ] || fail "a folder for nothing"
joined && fail "it was attached to all the same"
keep
visit "$other" second
join "$other" killed
kill -KILL "$watcher"
wait "$watcher" 2>/dev/null
keep
"$ours" detach "$target" || fail "detach from another version's: status $?"
joined && fail "the shared memory is still there after detach"
visit "$other" third
end

# Asleep it is called by what both understand; what they must agree on has a version of its own.
echo "asleep with the other one's object"
start LD_PRELOAD="$work/other/preload/libleakwatch.so"
visit "$ours" woken
end

echo "asleep with an object that is called in another way"
start LD_PRELOAD="$build/preload/libleakwatch.so"
page=$(sed -n 's/.* \(\/.*leakwatch-wake\..*\)/\1/p' "/proc/$target/maps")
printf '\143' | dd of="$page" bs=1 seek=8 conv=notrunc status=none
"$(dirname "$TARGETS")/without-ptrace" "$ours" attach -o refused "$target" 2>refused.stderr
expect "status for another way" "$?" 126
expect_match "message for another way" "$(cat refused.stderr)" "another version of leakwatch"
visit "$ours" traced
end
