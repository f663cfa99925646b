# SPDX-License-Identifier: Apache-2.0
# A flood of requests, clients that never finish theirs and clients that vanish: no event is lost meanwhile, and the
# service still answers.
. "$(dirname "$0")/http_lib.sh" || exit 1
command -v wrk >/dev/null || skip "wrk is not installed"

serve --exact -- "$TARGETS/target-storm" 2 1500000 gate

# Slow clients: as many as there may be, and more, each with half a request.
port=${url##*:}
for _ in $(seq 80); do
  (exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET /debug/pprof/heap HTTP/1.1\r\nHost:' >&3 && sleep 3) 2>/dev/null &
done
for path in heap 'heap?debug=1' goroutine allocs; do
  timeout 60 wrk -t1 -c8 -d8s "$url/debug/pprof/$path" >"wrk.$(tr -dc a-z <<<"$path")" 2>&1 &
done
timeout 60 wrk -t1 -c8 -d8s "$url/metrics" >wrk.metrics 2>&1 &
sleep 1  # until they flood
touch gate
wait "$watcher"
expect "status" "$?" 0
expect "the program's own checks" "$(tail -1 out.stdout)" "done"
expect "sums" "$(sums "$(last_profile)" storm_block)" "3001000 192064000 0 0"
expect_nothing_lost "$(last_profile)"
for flood in $(jobs -p); do wait "$flood" 2>/dev/null; done
answered=$(sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' wrk.* | awk '{ sum += $1 } END { print sum + 0 }')
[ "$answered" -gt 100 ] || fail "only $answered requests were answered: $(cat wrk.*)"
echo "$answered requests answered"
