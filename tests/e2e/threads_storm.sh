# SPDX-License-Identifier: Apache-2.0
# Detached threads that live for microseconds, in the midst of many looks: whoever is seen is known to have been made by
# somebody, also one that is about to tell its start or has just told its end.
. "$(dirname "$0")/threads_lib.sh" || exit 1

watch -q -i 20ms -- "$TARGETS/target-threads-storm" 4 6000
expect "status" "$?" 0
expect_truth "$(last_creators)" out.stdout
looks=0
for profile in out/threadcreate.*; do
  unseen=$(creators "$profile" | grep -F 'creator not seen' | head -1)
  expect "made by nobody in $profile" "$unseen" ""
  looks=$((looks + 1))
done
echo "$looks looks"
[ "$looks" -gt 3 ] || fail "only $looks looks at a storm of 24,000 threads"
