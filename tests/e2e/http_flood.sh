# SPDX-License-Identifier: Apache-2.0
# A flood of requests, clients that never finish theirs and clients that vanish: no event is lost meanwhile, and the
# service still answers.
. "$(dirname "$0")/http_lib.sh" || exit 1
command -v wrk >/dev/null || skip "wrk is not installed"

serve --exact -- "$TARGETS/target-storm" 2 5000000 gate

for path in debug/pprof/heap 'debug/pprof/heap?debug=1' debug/pprof/goroutine debug/pprof/allocs metrics; do
  timeout 60 wrk -t1 -c8 -d8s -s "$SOURCE_ROOT/tests/e2e/wrk_statuses.lua" "$url/$path" >"wrk.${path//[^a-z]/}" 2>&1 &
done
sleep 1  # until they flood

# Slow clients: as many as there may be, and more, each with half a request.
port=${url##*:}
for _ in $(seq 80); do
  (exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET /debug/pprof/heap HTTP/1.1\r\nHost:' >&3 && sleep 3) 2>/dev/null &
done
touch gate
wait "$watcher"
expect "status" "$?" 0
expect "the program's own checks" "$(tail -1 out.stdout)" "done"
expect "sums" "$(sums "$(last_profile)" storm_block)" "10001000 640064000 0 0"
expect_nothing_lost "$(last_profile)"
for flood in $(jobs -p); do wait "$flood" 2>/dev/null; done

# answers FILE [STATUS]: how many wrk had
answers() { awk -v wanted="${2:-}" '$1 == "status" && (wanted == "" || $2 == wanted) { sum += $3 } END { print sum + 0 }' "$1"; }

# All were answered well, but for those who came back while the slow clients had every place. On a machine with much
# else to do that may be one flood's whole life.
all_good=0
for flood in wrk.*; do
  good=$(answers "$flood" 200)
  expect "answers of $flood that are neither 200 nor 503" "$(($(answers "$flood") - good - $(answers "$flood" 503)))" 0
  all_good=$((all_good + good))
  echo "$flood: $good answers, $(answers "$flood" 503) told to come back"
done
[ "$all_good" -gt 0 ] || fail "no good answer: $(cat wrk.*)"
