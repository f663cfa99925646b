# SPDX-License-Identifier: Apache-2.0
# Signals that leakwatch gets reach the program once: passed on when they were sent to leakwatch alone, and not a second
# time when the terminal's Ctrl-C or a kill of the whole group has reached the program already.
. "$(dirname "$0")/lib.sh" || exit 1

interrupts() { grep -c '^interrupted' out.stdout; }
interrupted() { [ "$(interrupts)" -ge "$1" ]; }
settle() { wait_until 60 interrupted "$1" || fail "the program got no SIGINT"; profile_now "$2"; }

begin -q -- "$TARGETS/target-still"
kill -INT "$watcher"
settle 1 0001
expect "SIGINT to leakwatch" "$(interrupts)" 1
kill -TERM "$watcher"
finish
expect "status after SIGTERM" "$?" 143
profile_exists 0002 || fail "no last profile"

# Ctrl-C: a terminal of its own, on which script(1) types.
export -f profile_exists
cat >session <<SESSION
"$LEAKWATCH" run -q -o out -- "$TARGETS/target-still" >out.stdout 2>out.stderr &
echo \$! >watcher
fg >/dev/null
SESSION
rm -rf out out.stdout && mkfifo keys
script -qec "bash -m session" /dev/null <keys >/dev/null &
exec 3>keys
wait_until 60 grep -qsx ready out.stdout || fail "no session on a terminal"
watcher=$(cat watcher)
printf '\003' >&3
settle 1 0001
expect "Ctrl-C" "$(interrupts)" 1
kill -TERM "$watcher"
exec 3>&-
wait

# The whole process group, as service managers and timeout(1) do.
set -m
begin -q -- "$TARGETS/target-still"
set +m
for count in 1 2 3 4 5 6 7 8 9 10; do
  kill -INT -- "-$watcher"
  settle $count "$(printf %04d $count)"
  sleep 0.1
done
expect "ten SIGINT to the group" "$(interrupts)" 10
kill -TERM "$watcher"
finish
expect "status after the last SIGTERM" "$?" 143
