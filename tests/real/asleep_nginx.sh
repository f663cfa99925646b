#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# nginx sleeps with our object from its start, and so do the workers that its master makes, which have given up its
# user. Whoever started it wakes them under wrk, without tracing. No request fails, and the connections that are kept
# open are found by name. Workers of a new configuration sleep as well.
. "$(dirname "$0")/attach_lib.sh" || exit 1
need nginx nginx-light
need wrk wrk
need curl curl

cleanup() { [ ! -s nginx.pid ] || kill -TERM "$(cat nginx.pid)" 2>/dev/null; }
get() { curl -s --max-time 10 "http://127.0.0.1:$port/$1"; }
is_up() { [ "$(get hello)" = hello ]; }
children() { pgrep -P "$(cat nginx.pid)" | sort; }
workers_are_new() { [ "$(children | wc -l)" = 2 ] && [ -z "$(comm -12 <(children) before)" ]; }

object=$(realpath "$(dirname "$LEAKWATCH")/../preload/libleakwatch.so")
printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$(dirname "$TARGETS")/without-ptrace" "$LEAKWATCH" >unprivileged
chmod 755 unprivileged "$work"
LEAKWATCH=$work/unprivileged

port=$(free_port) || exit 1
cat >nginx.conf <<C
daemon off; pid $work/nginx.pid; error_log $work/error.log warn; worker_processes 2;
events { worker_connections 512; }
http {
  access_log $work/access.log; keepalive_requests 1000000;
  client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/fastcgi;
  uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
  server { listen 127.0.0.1:$port reuseport; location = /hello { return 200 "hello\n"; } }
}
C
in_background env LD_PRELOAD="$object" "$(command -v nginx)" -c "$work/nginx.conf" -e "$work/error.log"
wait_until 30 is_up || fail "nginx does not answer: $(cat server.log error.log)"
master=$(cat nginx.pid)

# A worker that has nothing to do allocates nothing: each gets its part of the connections here.
visitors() { while true; do get hello >/dev/null; done; }
watch_workers() { # NAME
  local workers client clients=()
  mapfile -t workers < <(children)
  visitors &
  local visiting=$!
  join "$1-first" "${workers[0]}" --exact
  join "$1-second" "${workers[1]}" --exact
  is_left "$master" || fail "the master woke as well"
  for _ in $(seq 40); do
    exec {client}<>"/dev/tcp/127.0.0.1/$port"
    printf 'GET /hello HTTP/1.1\r\nHost: here\r\n\r\n' >&"$client"
    read -r -t 30 answer <&"$client"
    expect "answer" "$answer" $'HTTP/1.1 200 OK\r'
    clients+=("$client")
  done
  leave "$1-first" "$1-second"
  for client in "${clients[@]}"; do exec {client}>&-; done
  kill "$visiting"
  for worker in "${workers[@]}"; do is_left "$worker" || fail "$worker has not gone to sleep"; done
  local kept=0 folder
  for folder in "$1-first" "$1-second"; do
    kept=$((kept + $(samples "$(last_of "$folder")" | awk '/ ngx_memalign;ngx_create_pool;ngx_event_accept;/ { sum += $4 } END { print sum + 0 }')))
  done
  [ "$kept" -ge 40 ] || fail "only $kept connections are found under ngx_event_accept"
}

requests hello
watch_workers old
end_requests
children >before
kill -HUP "$master"
wait_until 30 workers_are_new || fail "no new workers after HUP: $(children; cat error.log)"
requests hello
watch_workers new
end_requests
expect "answers in the log that are no 200" "$(awk '$9 != 200' access.log | grep -v '" 499 ' | head -3)" ""
kill -QUIT "$master"
wait "$watcher"
expect "status of nginx" "$?" 0
expect "what it complained of" "$(cat error.log)" ""
