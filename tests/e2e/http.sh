# SPDX-License-Identifier: Apache-2.0
# A program that is watched answers like a Go service: exact counts now, and exact differences over some seconds.
. "$(dirname "$0")/http_lib.sh" || exit 1
need_pprof

says() { grep -qsx "$1" out.stdout; }
keep() {
  kill -USR2 "$target"
  wait_until 60 says "kept $1" || fail "no round $1: $(cat out.stdout out.stderr)"
}

serve --exact -- "$TARGETS/target-keeper" "$TARGETS/target-still"

# What is told was there when it was asked for.
get /debug/pprof/heap >heap.1 || exit 1
expect "at first" "$(sums heap.1 kept_block)" "10 10000 10 10000"
keep 1
get /debug/pprof/heap >heap.2 || exit 1
expect "after a round" "$(sums heap.2 kept_block)" "20 20000 20 20000"
expect_nothing_lost heap.2

# A difference over two seconds, in which two rounds fall; a client that goes away hurts nobody.
(get "/debug/pprof/heap?seconds=2" >heap.delta) &
delta=$!
curl -s --max-time 1 "$url/debug/pprof/allocs?seconds=3600" >/dev/null
keep 2
keep 3
wait $delta || fail "no difference"
expect "the difference" "$(sums heap.delta kept_block)" "20 20000 20 20000"

# Go's own reader, over HTTP.
pprof -top -sample_index=inuse_objects -diff_base heap.1 "$url/debug/pprof/heap" >top || exit 1
expect_match "top" "$(cat top)" '^ +30 +[^ ]+ +[^ ]+ +30 +[^ ]+ +kept_block$'
pprof -top "$url/debug/pprof/goroutine" >top || exit 1
expect_match "threads" "$(cat top)" '^ +[^ ]+ +[^ ]+ +[^ ]+ +1 +[^ ]+ +main$'
expect "threads" "$(get /debug/pprof/goroutine?debug=1 | head -1)" "goroutine profile: total 1"
expect "arguments" "$(get /debug/pprof/cmdline | tr '\0' ' ')" "$TARGETS/target-keeper $TARGETS/target-still"

# The page, its data, the metrics.
expect_match "page" "$(get /)" '<!doctype html>|<!DOCTYPE html>'
get /live.json | jq -e . >/dev/null || fail "the page's data is no JSON: $(cat body)"
expect_match "metrics" "$(get /metrics)" '^leakwatch_heap_live_bytes [0-9.e+]+$'
expect "a path that is not there" "$(status /etc/passwd) $(status /%2e%2e/%2e%2e/etc/passwd --path-as-is)" "404 404"
expect "a path that goes up" "$(status /../../etc/passwd --path-as-is)" 301
expect "where it ends" "$(status /../../etc/passwd --path-as-is -L)" 404

# The program becomes another one: what was counted before is no difference.
(get "/debug/pprof/heap?seconds=3" >heap.delta) &
delta=$!
sleep 1
kill -USR1 "$target"
wait $delta || fail "no difference across programs"
expect "the new program" "$(sums heap.delta kept_block)" "100 100000 100 100000"

kill -KILL "$target"
finish
expect "status" "$?" 137
