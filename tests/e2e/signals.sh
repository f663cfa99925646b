# SPDX-License-Identifier: Apache-2.0
# A signal handler that allocates inside an interrupted hook: the program's own allocations stay exact, the handler's
# are recorded or counted as lost, and nothing is left that looks alive.
. "$(dirname "$0")/lib.sh" || exit 1

watch -q --exact -- "$TARGETS/target-signals" 200000
expect "status" "$?" 0
profile=$(last_profile)
expect "steady_block" "$(sums "$profile" ^steady_block)" "$(sed -n 's/^truth steady_block //p' out.stdout)"
handled=$(sed -n 's/^handled //p' out.stdout)
lost=$(comments "$profile" | sed -n 's/ allocations\{0,1\} went unrecorded.*//p' | tr -d ,)
read -r seen _ inuse _ < <(sums "$profile" handler_block)
echo "handled $handled, recorded $seen, lost ${lost:-0}"
expect "handler_block" "$((seen + ${lost:-0}))" "$handled"
expect "alive" "$inuse" 0
expect "frees lost" "$(comments "$profile" | grep -c 'frees\{0,1\} went unrecorded')" 0

watch -q --sample-interval 1KiB -- "$TARGETS/target-signals" 200000
expect "status when sampled" "$?" 0
