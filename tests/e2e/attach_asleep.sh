# SPDX-License-Identifier: Apache-2.0
# A service that was started with our object preloaded, and nothing else, sleeps; who may not trace it wakes it, watches
# it exactly, and puts it to sleep again.
. "$(dirname "$0")/lib.sh" || exit 1

without_ptrace=$(dirname "$TARGETS")/without-ptrace
object=$(realpath "$(dirname "$LEAKWATCH")/../preload/libleakwatch.so")
service=$TARGETS/target-asleep
chmod 777 "$work"

# as UID COMMAND...: without capabilities; as we are when we are not root, or nobody else can reach the build folder
can_change_user=
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null && setpriv --reuid=65534 --clear-groups test -x "$LEAKWATCH" -a -r "$object"; then
  can_change_user=yes
fi
as() {
  local user=$1; shift
  if [ -n "$can_change_user" ]; then
    exec setpriv --reuid="$user" --regid="$user" --clear-groups "$@"
  else
    exec "$@"
  fi
}
main_user=65534
[ -n "$can_change_user" ] || main_user=$(id -u)

# sleeper [ARGUMENT]: starts the service asleep.
sleeper() {
  rm -f out.stdout
  (as "$main_user" env LD_PRELOAD="$object" "$service" "$@") >out.stdout &
  target=$!
  wait_until 60 grep -qs '^pid ' out.stdout || fail "the service does not start: $(cat out.stdout)"
}
end_sleeper() {
  kill -TERM "$target"
  wait "$target"
  expect "status of the service" "$?" 0
  target=
}
leakwatch() { (as "${user:-$main_user}" "$without_ptrace" "$LEAKWATCH" "$@"); }
# keep PID ROUND
keep() {
  kill -USR2 "$1"
  wait_until 60 grep -qsx "kept $2 by $1" out.stdout || fail "no round $2 of $1: $(cat out.stdout)"
}
is_watched() { grep -qs 'memfd:leakwatch' "/proc/$1/maps"; }
# join PID FOLDER
join() {
  (as "$main_user" "$without_ptrace" "$LEAKWATCH" attach -i 1h --exact -o "$2" "$1") 2>"$2.stderr" &
  watcher=$!
  wait_until 60 grep -qs '^leakwatch: watching' "$2.stderr" || fail "$1 does not wake: $(cat "$2.stderr")"
  is_watched "$1" || fail "$1 is said to be watched, and is not"
}
leave() {
  kill -INT "$watcher"
  wait "$watcher"
  expect "status of leakwatch" "$?" 0
  watcher=
}
# expect_kept FOLDER ROUNDS
expect_kept() {
  local profile
  profile=$(ls "$1"/heap.*.pb.gz | tail -1)
  expect "what $1 saw" "$(sums "$profile" kept_block)" "$(($2 * 10)) $(($2 * 10000)) $(($2 * 10)) $(($2 * 10000))"
  expect_nothing_lost "$profile"
}
pages() { sed -n 's/.* \(\/.*leakwatch-wake\..*\)/\1/p' "/proc/$1/maps"; }
refused() { # STATUS REGEX COMMAND PID
  leakwatch "$3" "$4" 2>refused.stderr
  expect "status of $3 for $4" "$?" "$1"
  expect_match "message of $3 for $4" "$(cat refused.stderr)" "$2"
}

echo "once and again"
sleeper
page=$(pages "$target")
expect "who may open the page" "$(stat -c '%a %u %s' "$page")" "600 $main_user 4096"
descriptors=$(ls "/proc/$target/fd")
grep -q leakwatch <(ls -l "/proc/$target/fd") && fail "it has its page open"
round=0
for time in first second; do
  keep "$target" $((++round))
  join "$target" "$time"
  keep "$target" $((++round))
  keep "$target" $((++round))
  expect "descriptors" "$(ls "/proc/$target/fd")" "$descriptors"
  leave
  expect_kept "$time" 2
  expect_match "what it says of itself" "$(comments "$time/heap.0001.pb.gz")" '^Attached at .*, while the program ran'
  is_watched "$target" && fail "it did not go to sleep after the $time time"
done

echo "a leakwatch that is killed"
join "$target" killed
kill -KILL "$(pgrep -P "$watcher" || echo "$watcher")"
wait "$watcher" 2>/dev/null
keep "$target" $((++round))
leakwatch detach "$target" || fail "detach: status $?"
is_watched "$target" && fail "it did not go to sleep after detach"
leakwatch detach "$target" || fail "detach of one that sleeps: status $?"
join "$target" after
keep "$target" $((++round))
end_sleeper
wait "$watcher"
expect "status when the service ends" "$?" 0
expect_kept after 1

echo "a page that nobody needs any more"
[ -e "$page" ] || fail "the page was removed by a process that could have been in a sandbox"
sleep 60 & awake=$!
refused 126 'process|Process' detach "$awake"
kill "$awake"
[ ! -e "$page" ] || fail "leakwatch leaves $page"
sleeper
page=$(pages "$target")
kill -KILL "$target"
wait "$target" 2>/dev/null
sleeper
[ ! -e "$page" ] || fail "the next process leaves $page"
[ -e "$(pages "$target")" ] || fail "and has none"

echo "somebody else"
if [ -n "$can_change_user" ]; then
  user=65533
  refused 126 'belongs to user 65534' attach "$target"
  refused 126 'belongs to user 65534' detach "$target"
  user=
fi
chmod 644 "$(pages "$target")"
refused 126 'out of reach' attach "$target"
end_sleeper

echo "closed"
sleeper closed
if [ -n "$can_change_user" ]; then
  (as "$main_user" cat "/proc/$target/maps") >/dev/null 2>&1 && fail "the service is not closed"
fi
join "$target" closed
keep "$target" 1
leave
expect_kept closed 1
end_sleeper

if [ -n "$can_change_user" ]; then
  echo "closed, and nothing of ours in it"
  sleeper
  asleep=$target
  (as "$main_user" "$service" closed) >closed.stdout &
  target=$!
  wait_until 60 grep -qs '^pid ' closed.stdout || fail "the service does not start: $(cat closed.stdout)"
  refused 126 'cannot be looked into.*has not allocated anything' attach "$target"
  is_watched "$asleep" && fail "another one woke"
  kill -TERM "$asleep"
  wait "$asleep"
  end_sleeper
fi

echo "workers"
sleeper 3
wait_until 60 eval '[ "$(grep -c "^pid " out.stdout)" = 3 ]' || fail "workers: $(cat out.stdout)"
for worker in $(sed -n 's/^pid //p' out.stdout | head -2); do
  join "$worker" "worker.$worker"
  keep "$worker" 1
  for other in $target $(sed -n 's/^pid //p' out.stdout); do
    [ "$other" = "$worker" ] || ! is_watched "$other" || fail "$other is awake too"
  done
  leave
  expect_kept "worker.$worker" 1
done
# shellcheck disable=SC2046
kill -TERM $(sed -n 's/^pid //p' out.stdout)
wait "$target"
expect "status of the service" "$?" 0
target=

if [ -n "$can_change_user" ] && unshare -mpf true 2>/dev/null; then
  # apart MOUNTS: the same in a mount namespace and a pid namespace of its own. Sets $target to the number outside.
  apart() {
    unshare -mpf sh -c "$1"' && shift && exec "$@"' sh "$1" setpriv --reuid="$main_user" --regid="$main_user" \
      --clear-groups env LD_PRELOAD="$object" "$service" >out.stdout &
    unshared=$!
    wait_until 60 grep -qsx 'pid 1' out.stdout || fail "the service does not start: $(cat out.stdout)"
    target=$(pgrep -P "$unshared")
  }
  echo "in namespaces of its own"
  rm -f out.stdout
  apart 'mount -t tmpfs -o mode=1777 tmpfs /dev/shm'
  [ ! -e "$(pages "$target")" ] || fail "its folders are not its own"
  join "$target" apart
  kill -USR2 "$target"
  wait_until 60 grep -qsx 'kept 1 by 1' out.stdout || fail "no round: $(cat out.stdout)"
  leave
  expect_kept apart 1
  kill -TERM "$target"
  wait "$unshared"

  echo "without a folder to write to"
  rm -f out.stdout
  apart 'for folder in /dev/shm /tmp /var/tmp; do mount --bind $folder $folder && mount -o remount,bind,ro $folder || exit; done'
  expect "page" "$(pages "$target")" ""
  refused 126 'cannot be looked into' attach "$target"
  kill -TERM "$target"
  wait "$unshared"
  target=
fi

echo "one that allocates nothing"
ask() { # without asking anybody else
  "$LEAKWATCH" attach -i 1h --exact -o idle "$target" 2>idle.stderr &
  watcher=$!
}
LD_PRELOAD=$object "$TARGETS/target-keeper" >out.stdout &
target=$!
wait_until 60 grep -qsx ready out.stdout || fail "the target is not ready"
"$without_ptrace" "$LEAKWATCH" attach --duration 2s -o patient "$target" 2>patient.stderr
expect "status where it never wakes" "$?" 126
is_watched "$target" && fail "it woke by itself"
"$LEAKWATCH" attach -q --duration 1s -o brief "$target" || fail "status $? of a visit as brief as the wait for it"
[ -e brief/heap.0001.pb.gz ] || fail "no profile of a brief visit"
is_watched "$target" && fail "it was not left"
ask
wait_until 60 grep -qs '^leakwatch: watching' idle.stderr || fail "no thread was sent to wake it: $(cat idle.stderr)"
kill -USR2 "$target"
wait_until 60 grep -qsx 'kept 1' out.stdout
leave
expect_kept idle 1
is_watched "$target" && fail "no thread was sent to put it to sleep"
end_sleeper

echo "one that is not asleep"
"$service" >out.stdout & target=$!
wait_until 60 grep -qs '^pid ' out.stdout
(as "$(id -u)" "$without_ptrace" "$LEAKWATCH" attach "$target") 2>refused.stderr
expect "status for one that is not asleep" "$?" 126
end_sleeper
exit 0
