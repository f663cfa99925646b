# SPDX-License-Identifier: Apache-2.0
# Eight threads that create and join 100,000 between them: counted to the last, and neither we nor the program keep
# anything of a thread that is gone. What was used after 10,000 of them is compared with what is used after 100,000.
. "$(dirname "$0")/threads_lib.sh" || exit 1

anonymous_kib() { awk '/^RssAnon:/ { print $2 }' "/proc/$1/status"; }
says() { grep -qsx "$1" out.stdout; }
go_on() { kill -USR2 "$target"; }

begin -q -- "$TARGETS/target-threads-crowd" 8 12500
profile_now 0001
expect "after a tenth" "$(sums out/threadcreate.0001.pb.gz create_and_join)" "10000 0 0 0"
expect "threads now" "$(threads_at out/threads.0001.pb.gz maker)" 8
ours=$(anonymous_kib "$watcher") theirs=$(anonymous_kib "$target")
go_on
wait_until 200 says done || fail "the target is not done: $(cat out.stdout out.stderr)"
profile_now 0002
ours_later=$(anonymous_kib "$watcher") theirs_later=$(anonymous_kib "$target")
go_on
finish
expect "status" "$?" 0
expect_truth "$(last_creators)" out.stdout

# 90,000 records of 50 bytes would be 4,400 KiB.
echo "leakwatch $ours -> $ours_later KiB, the program $theirs -> $theirs_later KiB"
[ "$((ours_later - ours))" -lt 4400 ] || fail "leakwatch grew from $ours to $ours_later KiB"
[ "$((theirs_later - theirs))" -lt 4400 ] || fail "the program grew from $theirs to $theirs_later KiB"

# Snapshots in the midst of it all: a thread that is about to come or go is not taken for one that nobody made.
begin -q -i 50ms -- "$TARGETS/target-threads-crowd" 4 12500
go_on
wait_until 200 says done || fail "the target is not done: $(cat out.stdout out.stderr)"
go_on
finish
expect "status with an interval" "$?" 0
expect_truth "$(last_creators)" out.stdout
for profile in out/threadcreate.*; do
  unseen=$(creators "$profile" | grep -F 'creator not seen' | head -1)
  expect "made by nobody in $profile" "$unseen" ""
done
