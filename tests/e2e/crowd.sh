# SPDX-License-Identifier: Apache-2.0
# More threads than there are rings: what goes unrecorded is counted to the last, and the threads after them are exact.
. "$(dirname "$0")/lib.sh" || exit 1

lost() { comments "$1" | sed -n 's/ allocations\{0,1\} went unrecorded.*//p' | tr -d ,; }

watch_exactly "$TARGETS/target-crowd" 600
watch -q --exact -- "$TARGETS/target-crowd" 1100
expect "status" "$?" 0
profile=$(last_profile)
read -r seen _ inuse _ < <(sums "$profile" crowd_block)
missed=$(lost "$profile")
echo "recorded $seen of 11000, lost ${missed:-0}"
[ "$((seen + ${missed:-0}))" -ge 11000 ] || fail "$seen recorded and ${missed:-0} lost are not 11000"
[ "$seen" -ge 10000 ] || fail "only $seen recorded, although 1023 threads found a ring"
expect "blocks alive" "$inuse" "$((seen / 10))"
expect "a crowd that came later" "$(sums "$profile" later_block)" "80 4800 8 480"
expect "frees lost" "$(comments "$profile" | grep -c 'frees\{0,1\} went unrecorded')" 0
