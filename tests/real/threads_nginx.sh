#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# nginx with a pool of threads that read its files, as one process, since children are not watched: it answers wrk as
# without us while it is looked at, and the pool's threads are found where they wait and below what made them.
. "$(dirname "$0")/real.sh" || exit 1
need nginx nginx-light
need wrk wrk
need curl curl
need_pprof
nginx=$(command -v nginx)
"$nginx" -V 2>&1 | grep -q -e --with-threads || skip "this nginx was built without threads"

threads=7
cleanup() { [ ! -s nginx.pid ] || kill -TERM "$(cat nginx.pid)" 2>/dev/null; }
get() { curl -s --max-time 10 "http://127.0.0.1:$port/$1"; }
is_up() { [ "$(get hello)" = hello ]; }
# How often the threads of the pool went to sleep: a thread that reads nothing sleeps through.
naps() {
  local task
  for task in "/proc/$1"/task/*; do
    [ "${task##*/}" = "$1" ] || cat "$task/status"
  done | awk '/^voluntary/ { sum += $2 } END { print sum + 0 }'
}

port=$(free_port) || exit 1
mkdir www
chmod 755 "$work" www
seq 1 40000 >www/large.txt
cat >nginx.conf <<C
daemon off; master_process off; pid $work/nginx.pid; error_log $work/error.log warn;
thread_pool default threads=$threads;
events { worker_connections 256; }
http {
  access_log $work/access.log; default_type text/plain;
  client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/fastcgi;
  uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
  server {
    listen 127.0.0.1:$port; root $work/www;
    location = /hello { return 200 hello; }
    location / { aio threads; sendfile off; output_buffers 2 16k; }
  }
}
C

# profile_at_rest: waits for one that was begun after this moment; its number is in $rested
profile_at_rest() {
  rested=$(last_creators | tr -dc 0-9)
  rested=$(printf %04d $((10#$rested + 2)))
  wait_until 60 profile_exists "$rested" || fail "no profile $rested: $(cat server.log)"
}

# serve COMMAND...: the life of one process under load; says what happened
serve() {
  local pid before
  : >access.log; : >error.log
  in_background "$@" "$nginx" -c "$work/nginx.conf" -e "$work/error.log"
  wait_until 30 is_up || fail "nginx does not answer: $(cat server.log error.log)"
  pid=$(cat nginx.pid)
  echo "threads $(ls "/proc/$pid/task" | wc -l)"
  before=$(naps "$pid")
  get large.txt | cmp - www/large.txt && echo "the same file"
  timeout 60 wrk -t 2 -c 20 -d 2s "http://127.0.0.1:$port/large.txt" >wrk.txt 2>&1 || fail "wrk: $(cat wrk.txt)"
  expect_match "requests" "$(cat wrk.txt)" '^ +[1-9][0-9]* requests in'
  echo "bad answers: $(grep -E 'Non-2xx|Socket errors' wrk.txt)"
  echo "in the log: $(awk '$9 != 200' access.log | grep -v '" 499 ' | head -3)"
  [ "$(naps "$pid")" -gt $((before + 100)) ] && echo "the pool has worked"
  wait_until 30 all_wait "$pid" || fail "nginx does not come to rest"
  [ $# = 0 ] || profile_at_rest
  kill -QUIT "$pid"
  wait "$watcher"
  echo "status $?"
  [ -e nginx.pid ] || echo gone
  sed -E 's/^[0-9/: ]+//; s/[0-9]+#[0-9]+/N/' error.log
}

serve >plain
expect "plain run" "$(cat plain)" "threads $((threads + 1))
the same file
bad answers: 
in the log: 
the pool has worked
status 0
gone"

for how in --sample-interval=512KiB --exact; do
  serve "$LEAKWATCH" run "$how" -i 200ms -o out -- >watched
  expect "what nginx did $how" "$(diff plain watched)" ""
  where=out/threads.$rested.pb.gz creators=out/threadcreate.$rested.pb.gz
  expect "threads $how" "$("$PROFILE_DUMP" "$where" | grep ^total)" "total $((threads + 1))"
  expect "threads of the pool that wait $how" "$(threads_at "$where" ngx_thread_cond_wait)" "$threads"
  expect "the one that serves $how" "$(threads_at "$where" ngx_process_events_and_timers)" 1
  expect "threads by who made the pool $how" "$(sums "$creators" ngx_single_process_cycle | cut -d' ' -f1-3)" \
    "$threads $threads 0"
  expect_readable "$(last_profile)" out/heap.0001.pb.gz
  expect_whole_stacks "$(last_profile)"
done
