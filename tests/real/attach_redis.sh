# SPDX-License-Identifier: Apache-2.0
# Redis is joined in the middle of a load, watched, left, and joined again: no request fails, and its keys are as many
# as were written.
. "$(dirname "$0")/real.sh" || exit 1
command -v redis-server >/dev/null && command -v redis-benchmark >/dev/null || skip "redis is not installed"

port=$((20000 + RANDOM % 20000))
redis-server --port "$port" --save '' --appendonly no >redis.log 2>&1 &
target=$!
wait_until 60 redis-cli -p "$port" ping || fail "redis does not answer: $(cat redis.log)"
timeout 300 redis-benchmark -p "$port" -P 16 -n 6000000 -r 1000000 -t set,lpush --csv >load 2>&1 &
load=$!
for time in first second; do
  "$LEAKWATCH" attach -i 1s -o "$time" --duration 3s "$target" 2>"$time.stderr" || fail "status $?: $(cat "$time.stderr")"
  profile=$(ls "$time"/heap.*.pb.gz | tail -1)
  expect_nothing_lost "$profile"
  expect "profiles of the $time time" "$([ "$(ls "$time"/heap.*.pb.gz | wc -l)" -ge 2 ] && echo enough)" enough
  "$PROFILE_DUMP" "$profile" | grep -q '^sample .*;main;' || fail "no stack leads to main: $("$PROFILE_DUMP" "$profile" | head -20)"
done
wait "$load"
expect "status of the load" "$?" 0
expect "complaints of the load" "$(grep -ci error load)" 0
expect "answers" "$(redis-cli -p "$port" set leakwatch was-here)" OK
redis-cli -p "$port" shutdown nosave
wait "$target"
expect "status of redis" "$?" 0
target=
