# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests with real programs share, over ../e2e/threads_lib.sh. Each script sources this first.

tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=../e2e/threads_lib.sh
. "$tests/e2e/threads_lib.sh" || exit 1

PATH=$PATH:/usr/sbin

# need PROGRAM PACKAGE
need() { command -v "$1" >/dev/null || skip "$1 is not installed (apt-get install $2)"; }

# threads_named PROFILE EXTENDED_REGEX: how many threads have such a name, in which digits are folded
threads_named() {
  pprof -tags "$1" >tags || exit 1
  grep -E "%\): ($2)\$" tags | awk '{ sum += $1 } END { print sum + 0 }'
}

# expect_readable PROFILE [EARLIER]: every view of it opens, nothing was lost, and no frame is ours.
expect_readable() {
  local index
  for index in inuse_space alloc_space; do
    pprof -top -sample_index="$index" "$1" >top || exit 1
    expect_match "top of $1" "$(cat top)" '^ *flat +flat% +sum%'
  done
  pprof -traces "$1" >/dev/null || exit 1
  pprof -top -diff_base "${2:-$1}" "$1" >/dev/null || exit 1
  expect_nothing_lost "$1"
  expect "own frames in $1" "$(samples "$1" | grep libleakwatch | head -1)" ""
}

# expect_whole_stacks PROFILE: every walk came to its end, or to --max-depth. Both marks are counted on stderr. The
# loader's own entry, where the constructors of libraries come from, has no unwind tables, and nothing lies beyond it.
expect_whole_stacks() {
  samples "$1" | awk -v profile="$1" '
    { all += $2 } /leakwatch: unknown caller/ { lost += $2 } /leakwatch: deeper frames cut/ { cut += $2 }
    END { printf "%s: %d allocations, %d with an unknown caller, %d cut\n", profile, all, lost, cut }' >&2
  expect "stacks with an unknown caller in $1" \
    "$(samples "$1" | grep -F 'leakwatch: unknown caller' |
      grep -vE ';(_dl_start_user|ld-linux[^;]*);\[leakwatch: unknown caller\]$' | tail -c 1000)" ""
}

# free_port: one on the loopback interface that nobody listens on
free_port() {
  local port
  for _ in $(seq 50); do
    port=$((20000 + RANDOM % 12000))
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
  fail "no free port"
}

# in_background COMMAND...: starts a server, plain or with "$LEAKWATCH run"; sets $watcher. Its words are in server.log.
in_background() {
  rm -rf out
  "$@" >server.log 2>&1 &
  watcher=$!
}

# descriptors PID: how many are open; the fewest of a second, as clients that have just left may still be there
descriptors() {
  for _ in $(seq 10); do
    find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l
    sleep 0.1
  done | sort -n | head -1
}

# all_wait PID: no thread of the process runs, or is about to
all_wait() { ! grep -q '^State:.R' "/proc/$1"/task/*/status 2>/dev/null; }
