#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Debian's Prometheus, set up as the manual page says, scrapes a service under load: it takes every answer, has every
# series, sees the counters rise and never fall, and in the end knows the same numbers as the profile and the load.
. "$(dirname "$0")/scrape.sh" || exit 1
need prometheus prometheus
need promtool prometheus
need curl curl
need jq jq

readonly kRounds=15
serve_service --exact
put_load 20 20

example prometheus.yml
sed -i "s/localhost:6060/${url#http://}/; 1i global: {scrape_interval: 1s}" prometheus.yml
prometheus --config.file=prometheus.yml --storage.tsdb.path=data --web.listen-address=127.0.0.1:0 --log.level=debug \
  >prometheus.log 2>&1 &
prometheus=$!

wait_until 60 grep -q 'Server is ready' prometheus.log || fail "Prometheus: $(cat prometheus.log)"
store=http://$(sed -nE 's/.*Listening on.* address=([0-9.:]+).*/\1/p' prometheus.log)

# query EXPRESSION: its value, or one line for each
query() { curl -sS --get --data-urlencode "query=$1" "$store/api/v1/query" | jq -r '.data.result[].value[1]'; }

# It may have waited in vain on a machine that is busy, but it never got an answer that it did not like.
has_scraped() { [ "$(query "sum_over_time(up[10m]) >= bool $kRounds")" = 1 ]; }
wait_until 180 has_scraped || fail "up: $(query up) $(cat prometheus.log)"
expect "what Prometheus did not like" \
  "$(grep -iE 'level=(warn|error)|scrape failed|append failed' prometheus.log | grep -v 'deadline exceeded')" ""

curl -sS "$url/metrics" >live || fail "no metrics"
promtool check metrics <live >promtool.log 2>&1 || fail "promtool check metrics: $(cat promtool.log)"
expect "what promtool says" "$(cat promtool.log)" ""

sed -n 's/^# TYPE \([^ ]*\) .*/\1/p' live | sort >served
curl -sS "$store/api/v1/label/__name__/values" | jq -r '.data[]' | grep -E '^(leakwatch|process)_' | sort >stored
expect "series served (<) and stored (>)" "$(diff served stored)" ""

wait "$load" || fail "load: $(cat load.log)"
requests=$(sed -n 's/^\([0-9]*\) requests, 0 failed$/\1/p' load.log)
for counter in $(sed -n 's/^# TYPE \([^ ]*\) counter$/\1/p' live); do
  expect "how often $counter fell" "$(query "max(resets($counter[10m]))")" 0
done
for counter in leakwatch_heap_{allocated,freed}_{bytes,blocks}_total leakwatch_{events,threads_created}_total \
  process_cpu_seconds_total; do
  expect "$counter rises" "$(query "increase($counter[10m]) > bool 0")" 1
done

# The service is quiet some time after its last answer; then everybody says the same.
totals_stored() {
  for name in allocated_blocks_total allocated_bytes_total live_blocks live_bytes; do
    query "leakwatch_heap_$name"
  done | paste -sd ' '
}
for number in $(seq -f %04.0f 30); do
  profile_now "$number"
  in_profile=$(totals "$(last_profile)") in_store=$(totals_stored)
  [ "$in_profile" != "$in_store" ] || break
  sleep 1
done
expect "heap in Prometheus and in the profile" "$in_store" "$in_profile"
# Four workers, and a thread for every hundredth request, from the first on.
threads=$((4 + (requests + 99) / 100))
expect "threads" "$(query leakwatch_threads_created_total)" "$threads"
expect "threads that run" "$(query 'leakwatch_threads{state="running"}')" "$threads"
expect "threads of the kernel" "$(query leakwatch_target_threads)" "$((threads + 1))"

kill -TERM "$prometheus" "$target"
wait "$prometheus" "$watcher"
expect "status" "$?" 0
