#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# redis-server under redis-benchmark: plain, sampled and exact, with the same answers each time. Its BGSAVE forks, it
# brings jemalloc along as a library, and it exports its functions, so the tops are its own.
. "$(dirname "$0")/real.sh" || exit 1
need redis-server redis-server
need redis-benchmark redis-tools
need_pprof

cleanup() { [ -z "${port:-}" ] || cli shutdown nosave; }
cli() { timeout 20 redis-cli -p "$port" "$@" 2>/dev/null; }
is_up() { [ "$(cli ping)" = PONG ]; }
is_saved() { cli info persistence | grep -q 'rdb_bgsave_in_progress:0'; }

commands() {
  awk 'BEGIN { for (i = 0; i < 20000; i++) {
    print "SET text:" i " " i * 7919 "-and-some-more-text-behind-it"
    print "RPUSH list:" i % 50 " " i; print "HSET hash:" i % 30 " field" i " " i; print "ZADD set:" i % 20 " " i " member" i
    if (i % 3 == 0) print "DEL text:" i - 30 } }'
}

# talk: what a client sees, from the start to the end of the server
talk() {
  wait_until 30 is_up || fail "redis does not answer: $(cat server.log)"
  commands | cli --pipe | tail -1
  cli debug digest
  cli dbsize
  cli memory usage text:40
  cli config get maxmemory-policy
  cli config set hash-max-listpack-entries 64
  cli eval 'return redis.call("strlen", KEYS[1])' 1 text:40
  timeout 100 redis-benchmark -p "$port" -q -P 16 -n "$1" -r 5000 -t set,get,lpush,zadd >benchmark 2>&1 ||
    fail "redis-benchmark: $(cat benchmark)"
  [ -z "$is_watched" ] || profile_now 0001
  cli bgsave
  wait_until 30 is_saved
  cli info persistence | grep -a rdb_last_bgsave_status
  cli flushall
  echo "descriptors $(descriptors "$(cli info server | sed -n 's/^process_id:\([0-9]*\).*/\1/p')")"
  cli shutdown nosave
  wait "$watcher"
  echo "status $?"
  [ -z "$(cli ping)" ] && echo gone
}

serve() {
  port=$(free_port)
  rm -f dump.rdb
  in_background "$@" "$(command -v redis-server)" --port "$port" --bind 127.0.0.1 --save '' --dir "$work" \
    --enable-debug-command yes --daemonize no
}

is_watched=''
serve
talk 20000 >plain
expect_match "plain run" "$(cat plain)" '^status 0$'
is_watched=yes

serve "$LEAKWATCH" run -i 1s -o out --
talk 100000 >sampled
expect "answers under watch" "$(diff plain sampled)" ""
expect_readable "$(last_profile)" out/heap.0001.pb.gz
expect_whole_stacks "$(last_profile)"
expect_match "top by allocated bytes" "$(pprof -top -sample_index=alloc_space "$(last_profile)")" \
  '% +(zmalloc|zmalloc_usable|zrealloc_usable|_sdsnewlen|createStringObject)$'

serve "$LEAKWATCH" run --exact -i 60s -o out --
talk 20000 >exact
expect "answers in exact mode" "$(diff plain exact)" ""
expect_readable "$(last_profile)" out/heap.0001.pb.gz
expect_whole_stacks "$(last_profile)"
# Functions that redis 7 and 8 share.
for function in main aeMain processCommand call; do
  [ "$(sums "$(last_profile)" "$function" | cut -d' ' -f1)" -gt 1000 ] || fail "few allocations below $function"
done
# The data set was there in the middle, and went with FLUSHALL.
live_in() { totals "$1" | cut -d' ' -f4; }
before=$(live_in out/heap.0001.pb.gz) after=$(live_in "$(last_profile)")
[ "$before" -gt $((after + 2000000)) ] || fail "FLUSHALL: $before bytes before, $after after"
