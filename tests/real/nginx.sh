#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# nginx under wrk: a master with three workers, which forks, reloads and quits as without us; and one process alone,
# which shows what a request allocates.
. "$(dirname "$0")/real.sh" || exit 1
need nginx nginx-light
need wrk wrk
need curl curl
need_pprof

nginx=$(command -v nginx)
workers=3
cleanup() { [ ! -s nginx.pid ] || kill -TERM "$(cat nginx.pid)" 2>/dev/null; }
get() { curl -s --max-time 10 "http://127.0.0.1:$port/$1"; }
is_up() { [ "$(get hello)" = "hello $generation" ]; }
is_gone() { [ ! -e nginx.pid ]; }
children() { pgrep -P "$(cat nginx.pid)" | sort; }
workers_are_new() { [ "$(children | wc -l)" = "$workers" ] && [ -z "$(comm -12 <(children) before)" ]; }

configure() {
  generation=$1
  cat >nginx.conf <<C
daemon off; pid $work/nginx.pid; error_log $work/error.log warn;
${2:-worker_processes $workers;}
events { worker_connections 256; }
http {
  access_log $work/access.log; default_type text/plain;
  client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/fastcgi;
  uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
  gzip on; gzip_types text/plain; gzip_min_length 100;
  server {
    listen 127.0.0.1:$port; root $work/www;
    location = /hello { return 200 "hello $generation\n"; }
    location /files/ { alias $work/www/; add_header X-Seen "\$request_time \$remote_port"; }
    location /proxy/ { proxy_pass http://127.0.0.1:$port/files/; }
  }
}
C
}

# load: a page of each kind compared, then wrk; every answer must be a 200
load() {
  local page
  for page in files/large.txt proxy/large.txt files/small.txt; do
    get "$page" | cmp - "www/${page##*/}" || fail "another $page"
  done
  cmp <(curl -s --compressed "http://127.0.0.1:$port/files/large.txt") www/large.txt || fail "another large.txt with gzip"
  for page in hello files/small.txt proxy/large.txt; do
    timeout 60 wrk -t 2 -c 20 -d "$1" -H 'Accept-Encoding: gzip' "http://127.0.0.1:$port/$page" >wrk.txt 2>&1 ||
      fail "wrk: $(cat wrk.txt)"
    expect_match "requests of $page" "$(cat wrk.txt)" '^ +[1-9][0-9]* requests in'
    expect "bad answers for $page" "$(grep -E 'Non-2xx|Socket errors' wrk.txt)" ""
  done
  expect "answers in the log that are no 200" "$(awk '$9 != 200' access.log | grep -v '" 499 ' | head -3)" ""
}

# serve COMMAND...: the whole life of a master and its workers; says what happened
serve() {
  configure first
  : >access.log; : >error.log
  in_background "$@" "$nginx" -c "$work/nginx.conf" -e "$work/error.log"
  wait_until 30 is_up || fail "nginx does not answer: $(cat server.log error.log)"
  echo "workers $(children | wc -l), descriptors $(descriptors "$(cat nginx.pid)")"
  load 1s
  children >before
  configure second
  kill -HUP "$(cat nginx.pid)"
  wait_until 30 workers_are_new || fail "no new workers after HUP: $(children; cat error.log)"
  get hello
  kill -KILL "$(children | head -1)"
  wait_until 30 workers_are_new || fail "no worker in place of a killed one: $(cat error.log)"
  is_up && echo "up with $(children | wc -l) workers"
  kill -QUIT "$(cat nginx.pid)"
  wait "$watcher"
  echo "status $?"
  is_gone && echo gone
  sed -E 's/^[0-9/: ]+//; s/[0-9]+#[0-9]+/N/; s/worker process [0-9]+/worker process N/' error.log
}

mkdir www
echo small >www/small.txt
seq 1 20000 >www/large.txt
chmod 755 "$work" www
port=$(free_port) || exit 1

serve >plain
expect_match "plain run" "$(cat plain)" '^status 0$'
for how in --sample-interval=512KiB --exact; do
  serve "$LEAKWATCH" run "$how" -i 1s -o out -- >watched
  expect "what nginx did $how" "$(diff plain watched)" ""
  expect_readable "$(last_profile)" out/heap.0001.pb.gz
  expect_whole_stacks "$(last_profile)"
done

configure alone 'master_process off;'
: >access.log
in_background "$LEAKWATCH" run --exact -i 1s -o out -- "$nginx" -c "$work/nginx.conf" -e "$work/error.log"
wait_until 30 is_up || fail "nginx alone does not answer: $(cat server.log error.log)"
load 1s
kill -QUIT "$(cat nginx.pid)"
wait "$watcher"
expect "status alone" "$?" 0
expect_readable "$(last_profile)" out/heap.0001.pb.gz
expect_whole_stacks "$(last_profile)"
for function in main ngx_alloc ngx_memalign; do
  [ "$(sums "$(last_profile)" "$function" | cut -d' ' -f1)" -gt 100 ] || fail "few allocations below $function"
done
