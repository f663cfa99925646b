# SPDX-License-Identifier: Apache-2.0
# A process that is joined becomes another program, at any time: that one must not notice, and is watched when it can be.
. "$(dirname "$0")/lib.sh" || exit 1

# With a system call that nobody sees: what leakwatch had in the process is gone, and must not be called.
"$TARGETS/target-exec-kinds" raw /bin/sleep 2 700 &
target=$!
sleep 0.2
"$LEAKWATCH" attach -i 200ms -o out "$target" 2>out.stderr || fail "status $?: $(cat out.stderr)"
expect_ended_well "$target" out.stderr
expect_match "warning" "$(cat out.stderr)" 'warning: the process now runs .*, which has not called back'
expect_match "last profile" "$(comments "$(last_profile)")" 'Blind since recording ended early: the process has become'

# By a function that is watched, while threads are being sent to make calls.
attempts=0
for round in 1 2 3; do
  "$TARGETS/target-exec-loop" 60 &
  target=$!
  sleep 0.1
  while kill -0 "$target" 2>/dev/null && [ "$(cut -d' ' -f3 "/proc/$target/stat" 2>/dev/null)" != Z ]; do
    timeout -s INT 0.$((RANDOM % 15 + 5)) "$LEAKWATCH" attach -q --exact -o "loop.$((++attempts))" "$target" 2>>loop.stderr
  done
  wait "$target"
  expect "status of round $round" "$?" 21
done
expect "needless errors" "$(grep -cE 'does not know|has no dlopen' loop.stderr)" 0
