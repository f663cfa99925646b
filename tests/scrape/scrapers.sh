#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# scrapers.sh [ROUNDS]: Parca and Grafana Alloy (player/) gather the profiles of a service under load, both at once and
# as they do by default. Neither has anything to complain of, and the library that both are made with reads and
# subtracts all that they got. Two rounds take half a minute, twenty take five.
. "$(dirname "$0")/scrape.sh" || exit 1
need go golang-go
need curl curl

readonly kRounds=${1:-2}
readonly kSources=$SOURCE_ROOT/tests/scrape

(cd "$kSources/player" && go build -buildvcs=false -o "$work/player" .) || fail "the player does not build"
serve_service
put_load $((kRounds * 15 + 5)) 100

# cpu_seconds PID
cpu_seconds() { awk -v ticks="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / ticks }' "/proc/$1/stat"; }

mkdir kept
./player -rounds "$kRounds" -keep kept "$url" || fail "scrapers would complain"
wait "$load" || fail "load: $(cat load.log)"
echo "load: $(cat load.log); CPU: $(cpu_seconds "$target") s the service, $(cpu_seconds "$watcher") s leakwatch"

# What the scrapers pass on leads a human to the leak.
for scraper in parca alloy; do
  expect_match "$scraper's last heap" "$(samples "$(ls kept/$scraper.memory.* | tail -1)")" 'SessionCache::remember'
  expect_match "$scraper's last threads" "$(samples "$(ls kept/$scraper.goroutine.* | tail -1)")" 'Subscription::wait'
done

# Go's own runtime refuses the second of two scrapers that want a CPU profile at the same time; that would be a hole in
# the data of one of them.
asked=()
for i in 1 2; do
  curl -sS -o "cpu.$i" -w '%{http_code}\n' "$url/debug/pprof/profile?seconds=2" >"status.$i" &
  asked+=($!)
done
wait "${asked[@]}"
expect "two CPU profiles at once" "$(cat status.1 status.2)" $'200\n200'
"$PROFILE_DUMP" cpu.1 >/dev/null && "$PROFILE_DUMP" cpu.2 >/dev/null || fail "they are no profiles"

kill -TERM "$target"
wait "$watcher"
expect "status" "$?" 0
expect_nothing_lost "$(last_profile)"

cd "$kSources/pprof_reader" || exit 1
if timeout 120 go mod download 2>"$work/download.log"; then
  go build -buildvcs=false -o "$work/pprof_reader" . || fail "the reader does not build"
  "$work/pprof_reader" "$work/kept" || fail "the library did not like what the scrapers got"
else
  echo "skipped: reading with github.com/google/pprof, which could not be had: $(tail -1 "$work/download.log")"
fi
