# SPDX-License-Identifier: Apache-2.0
# As the first process of a container: it waits for orphans, who come to it and not to the program, also after its helper
# was killed, and passes on the signal that ends it.
. "$(dirname "$0")/lib.sh" || exit 1

in_container=(unshare --pid --fork --kill-child --mount-proc)
"${in_container[@]}" true 2>/dev/null || skip "no new namespace of processes is permitted here"

# shellcheck disable=SC2016
"${in_container[@]}" "$LEAKWATCH" run -q -o out -- bash -c '
  trap "exit 7" TERM
  for orphan in 1 2 3; do (sleep 0.1 &); done
  echo "parent $PPID"
  sleep 0.5
  while grep -qs "^State:.Z" /proc/[0-9]*/status; do sleep 0.1; done
  pkill -KILL -x lw-signals
  (sleep 0.1 &)
  sleep 0.5
  while grep -qs "^State:.Z" /proc/[0-9]*/status; do sleep 0.1; done
  echo ready
  while :; do sleep 0.1; done' >out.stdout 2>out.stderr &
watcher=$!
wait_until 20 grep -qsx ready out.stdout || fail "orphans remain: $(cat out.stdout out.stderr)"
expect "the parent" "$(head -n 1 out.stdout)" "parent 1"
kill -TERM "$(pgrep -P "$watcher")"
wait "$watcher"
expect "status after SIGTERM" "$?" 7
[ -e "$(last_profile)" ] || fail "no profile"
