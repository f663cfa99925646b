#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Redis is joined in the middle of a load, watched, left, and joined again. No request fails, and what a command keeps
# is found by name.
. "$(dirname "$0")/attach_lib.sh" || exit 1
need redis-server redis-server
need redis-benchmark redis-tools

cli() { timeout 20 redis-cli -p "$port" "$@"; }
is_up() { [ "$(cli ping)" = PONG ]; }
port=$(free_port) || exit 1
redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no >server.log 2>&1 &
target=$!
wait_until 30 is_up || fail "redis does not answer: $(cat server.log)"

# It knows no signal at which it ends well, so it begins again and again.
load() {
  while [ -e going-on ]; do
    timeout 60 redis-benchmark -p "$port" -P 16 -n 200000 -r 20000 -t set,lpush,lpop --csv || exit 1
  done
}
: >going-on
load >load.txt 2>&1 &
load=$!
for how in --sample-interval=64KiB --exact; do
  join "watched$how" "$target" -i 1s "$how"
  for key in 1 2 3 4 5 6 7 8; do
    expect "length" "$(cli setrange "kept:$how:$key" 999999 x)" 1000000
  done
  sleep 1
  leave "watched$how"
  is_left "$target" || fail "our memory is still there"
  expect "profiles $how" "$([ "$(ls "watched$how"/heap.*.pb.gz | wc -l)" -ge 2 ] && echo enough)" enough
done
rm going-on
expect_ended_well "$load" load.txt
expect "complaints of the load" "$(grep -ci error load.txt)" 0
expect "length of what was kept" "$(cli strlen kept:--exact:8)" 1000000
cli shutdown nosave
wait "$target"
expect "status of redis" "$?" 0
target=

# The texts, and what comes with them: the keys, and their places in the table.
live=$(sums "$(last_of watched--exact)" setrangeCommand | cut -d' ' -f4)
[ "$live" -ge 8000000 ] && [ "$live" -lt 17000000 ] || fail "$live bytes are kept below setrangeCommand"
expect_match "a whole stack" "$(samples "$(last_of watched--exact)")" ';setrangeCommand;.*;main;.*_start$'
