# SPDX-License-Identifier: Apache-2.0
# A program that runs is joined and left, again and again: exact counts from then on, and it goes on as before. After a
# leakwatch that was killed, detach cleans up.
. "$(dirname "$0")/lib.sh" || exit 1

"$TARGETS/target-keeper" >out.stdout &
target=$!
says() { grep -qsx "$1" out.stdout; }
wait_until 60 says ready || fail "the target is not ready"
keep() {
  kill -USR2 "$target"
  wait_until 60 says "kept $1" || fail "no round $1: $(cat out.stdout)"
}
# join FOLDER [OPTION...]: attaches, and returns when it watches
join() {
  local folder=$1; shift
  "$LEAKWATCH" attach --exact -o "$folder" "$@" "$target" 2>"$folder.stderr" &
  watcher=$!
  wait_until 60 grep -qs '^leakwatch: watching' "$folder.stderr" || fail "not joined: $(cat "$folder.stderr")"
  joined || fail "no session: $(cat "$folder.stderr")"
}
joined() { grep -qs 'memfd:leakwatch' "/proc/$target/maps"; }
leave() {
  kill -INT "$watcher"
  wait "$watcher"
}
descriptors() { ls "/proc/$target/fd" | wc -l; }

before=$(descriptors)
round=0
for time in first second third; do
  join "$time"
  keep $((++round))
  keep $((++round))
  leave
  expect "status of the $time time" "$?" 0
  profile=$(ls "$time"/heap.*.pb.gz | tail -1)
  expect "what the $time time saw" "$(sums "$profile" kept_block)" "20 20000 20 20000"
  expect_nothing_lost "$profile"
  expect_match "what it says of itself" "$(comments "$profile")" '^Attached at .*, while the program ran'
  joined && fail "the shared memory is still there after the $time time"
  keep $((++round))
done
expect "descriptors" "$(descriptors)" "$before"

# For a time.
"$LEAKWATCH" attach -q --exact -o timed --duration 1s "$target" || fail "status $? with --duration"
[ -e timed/heap.0001.pb.gz ] || fail "no profile with --duration"

# A leakwatch that is killed leaves hooks behind that do nothing; detach takes them away, and one can join again.
join killed
kill -KILL "$watcher"
wait "$watcher" 2>/dev/null
keep $((++round))
"$LEAKWATCH" detach "$target" || fail "detach: status $?"
joined && fail "the shared memory is still there after detach"
"$LEAKWATCH" detach "$target" || fail "detach of what is detached: status $?"
join after
keep $((++round))
kill -TERM "$target"
wait "$watcher"
expect "status when the program ends" "$?" 0
expect "what was seen until then" "$(sums "$(ls after/heap.*.pb.gz | tail -1)" kept_block)" "10 10000 10 10000"
wait "$target"
expect "status of the program" "$?" 0
target=

# What cannot be joined.
refused() { # STATUS REGEX PID
  "$LEAKWATCH" attach -o refused "$3" 2>refused.stderr
  expect "status for $3" "$?" "$1"
  expect_match "message for $3" "$(cat refused.stderr)" "$2"
  [ ! -e refused ] || fail "a folder for nothing"
}
sleep 0.01 & gone=$!
wait $gone
refused 127 "$gone" "$gone"
"$LEAKWATCH" attach 0 2>refused.stderr && fail "process 0"
"$LEAKWATCH" detach $$ 2>refused.stderr
expect "status where nothing is ours" "$?" 126

# Threads that were there before are in the last profile too, when the process is no longer watched.
"$TARGETS/target-threads-facts" >facts.stdout &
facts=$!
wait_until 60 grep -qsx ready facts.stdout || fail "the other target is not ready"
"$LEAKWATCH" attach -q -i 1h -o facts --duration 1s "$facts" || fail "status $? of a look at threads"
running=$(ls "/proc/$facts/task" | wc -l)
kill -TERM "$facts"
[ "$running" -gt 1 ] || fail "the other target has no threads"
expect "threads in the last profile" "$("$PROFILE_DUMP" facts/threads.0001.pb.gz | sed -n 's/^total //p')" "$running"
