# SPDX-License-Identifier: Apache-2.0
# What brings a profile about: the interval, SIGUSR1, the end. Two of a target at rest differ in nothing but the time.
. "$(dirname "$0")/lib.sh" || exit 1

begin -q --exact -i 200ms -- "$TARGETS/target-still"
wait_until 60 profile_exists 0003 || fail "the interval brought no three profiles"
kill "$watcher"
finish
expect "status" "$?" 143

begin -q --exact -- "$TARGETS/target-still"
profile_now 0001
profile_now 0002
kill "$watcher"
finish
expect "status" "$?" 143
expect "profiles" "$(cd out && ls | sort)" \
  "$(printf '%s\n' {heap,threadcreate,threads}.000{1,2,3}.pb.gz threads.000{1,2,3}.txt | sort)"
content() { "$PROFILE_DUMP" "$1" | grep -v '^comment .*RSS'; }
expect "the second profile" "$(content out/heap.0002.pb.gz)" "$(content out/heap.0001.pb.gz)"
for profile in out/heap.*; do expect_truth "$profile" out.stdout; done
expect "output with -q" "$(cat out.stderr)" ""
