# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of joining real programs in the middle of a load share, over real.sh. Each script sources this first.

tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=real.sh
. "$tests/real/real.sh" || exit 1

# join FOLDER PID [OPTION...]: attaches in the background and returns once the process records; its leakwatch is
# ${watchers[FOLDER]}.
declare -A watchers=()
join() {
  local folder=$1 pid=$2
  shift 2
  "$LEAKWATCH" attach -o "$folder" "$@" "$pid" >"$folder.stderr" 2>&1 &
  watchers[$folder]=$!
  wait_until 60 grep -qs '^leakwatch: watching' "$folder.stderr" || fail "process $pid was not joined: $(cat "$folder.stderr")"
}
is_left() { ! grep -qs 'memfd:leakwatch' "/proc/$1/maps"; }

# leave FOLDER...: detaches as Ctrl-C does. All must end well, and have lost nothing.
leave() {
  local folder
  for folder in "$@"; do kill -INT "${watchers[$folder]}"; done
  for folder in "$@"; do
    expect_ended_well "${watchers[$folder]}" "$folder.stderr"
    expect_nothing_lost "$(last_of "$folder")"
  done
}

# last_of FOLDER: its newest heap profile
last_of() { ls "$1"/heap.*.pb.gz 2>/dev/null | tail -1; }

# under_load FILE COMMAND...: starts a load that goes on for longer than any test here takes, its words in FILE.
# end_load FILE SIGNAL: has it end early by a signal, at which it still tells how it went. It must end well.
declare -A loads=()
under_load() {
  local file=$1
  shift
  "$@" >"$file" 2>&1 &
  loads[$file]=$!
}
end_load() {
  kill "-$2" "${loads[$1]}" 2>/dev/null || fail "the load had ended already: $(cat "$1")"
  expect_ended_well "${loads[$1]}" "$1"
}

# requests PATH: a load by wrk on $port; end_requests: every answer was a success
requests() { under_load load.txt wrk -t 1 -c 8 -d 100 --timeout 10s -H 'Accept-Encoding: gzip' "http://127.0.0.1:$port/$1"; }
end_requests() {
  end_load load.txt INT
  expect_match "requests" "$(cat load.txt)" '^ +[1-9][0-9]* requests in'
  expect "bad answers" "$(grep -E 'Non-2xx|Socket errors' load.txt)" ""
}

# watch_kept_blocks PATH: joins the web server `target`, which says in server.log how often it was asked for keep, in each
# mode while it is asked for PATH, and has it keep four blocks each time, and one more after it was left. Ends it.
watch_kept_blocks() {
  local how
  requests "$1"
  for how in --sample-interval=64KiB --exact; do
    join "watched$how" "$target" -i 1s "$how"
    for _ in 1 2 3 4; do get keep >/dev/null || fail "no answer under watch"; done
    sleep 1
    leave "watched$how"
    get keep >/dev/null || fail "no answer afterwards"
    is_left "$target" || fail "our memory is still there"
  done
  end_requests
  kill -TERM "$target"
  wait "$target"
  expect "status of the server" "$?" 0
  target=
  expect "what it said" "$(cat server.log)" "10 kept"
}
