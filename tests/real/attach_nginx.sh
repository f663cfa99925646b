#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The workers of nginx are joined under wrk, as their master has started them; then the master as well, and a worker
# that it makes while it is watched. No request fails, and the connections that are kept open are found by name.
. "$(dirname "$0")/attach_lib.sh" || exit 1
need nginx nginx-light
need wrk wrk
need curl curl

# Workers of a master that is killed do not notice.
cleanup() { [ ! -s nginx.pid ] || kill -KILL $(children) "$(cat nginx.pid)" 2>/dev/null; }
get() { curl -s --max-time 10 "http://127.0.0.1:$port/$1"; }
is_up() { [ "$(get hello)" = hello ]; }
children() { pgrep -P "$(cat nginx.pid)" | sort; }
workers_are_new() { [ "$(children | wc -l)" = 2 ] && [ -z "$(comm -12 <(children) before)" ]; }

port=$(free_port) || exit 1
mkdir www
seq 1 20000 >www/large.txt
chmod 755 "$work" www
cat >nginx.conf <<C
daemon off; pid $work/nginx.pid; error_log $work/error.log warn; worker_processes 2;
events { worker_connections 512; }
http {
  access_log $work/access.log; default_type text/plain; gzip on; gzip_types text/plain; keepalive_requests 1000000;
  client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/fastcgi;
  uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
  server {
    listen 127.0.0.1:$port; root $work/www;
    location = /hello { return 200 "hello\n"; }
    location /proxy/ { proxy_pass http://127.0.0.1:$port/; }
  }
}
C
in_background "$(command -v nginx)" -c "$work/nginx.conf" -e "$work/error.log"
wait_until 30 is_up || fail "nginx does not answer: $(cat server.log error.log)"
master=$(cat nginx.pid)
mapfile -t workers < <(children)

requests proxy/large.txt
for how in --sample-interval=64KiB --exact; do
  join "first$how" "${workers[0]}" -i 1s "$how"
  join "second$how" "${workers[1]}" -i 1s "$how"
  # Clients that stay when they have their answer: each keeps what nginx has for a connection.
  clients=()
  for _ in $(seq 40); do
    exec {client}<>"/dev/tcp/127.0.0.1/$port"
    printf 'GET /hello HTTP/1.1\r\nHost: here\r\n\r\n' >&"$client"
    read -r -t 30 answer <&"$client"
    expect "answer" "$answer" $'HTTP/1.1 200 OK\r'
    clients+=("$client")
  done
  leave "first$how" "second$how"
  for client in "${clients[@]}"; do exec {client}>&-; done
done
end_requests

# A worker of a master that we have joined has our hooks from its beginning, and nothing more.
join master "$master" --exact
children >before
kill -HUP "$master"
wait_until 30 workers_are_new || fail "no new workers after HUP: $(children; cat error.log)"
requests proxy/large.txt
join fresh "$(children | head -1)" --exact
get large.txt | cmp - www/large.txt || fail "another large.txt"
leave master fresh
end_requests
get large.txt | cmp - www/large.txt || fail "another large.txt afterwards"

expect "answers in the log that are no 200" "$(awk '$9 != 200' access.log | grep -v '" 499 ' | head -3)" ""
kill -QUIT "$master"
wait "$watcher"
expect "status of nginx" "$?" 0
expect "what it complained of" "$(cat error.log)" ""

# One block of this size and place for each connection that was accepted, and those of the load and its proxy.
kept=0
for profile in "$(last_of first--exact)" "$(last_of second--exact)"; do
  kept=$((kept + $(samples "$profile" | awk '/ ngx_memalign;ngx_create_pool;ngx_event_accept;/ { sum += $4 } END { print sum }')))
done
[ "$kept" -ge 40 ] || fail "only $kept connections are found under ngx_event_accept"
