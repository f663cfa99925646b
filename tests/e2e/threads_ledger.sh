# SPDX-License-Identifier: Apache-2.0
# Every way to create, end, join and detach a thread, counted under its creator: created, running, unjoined, stack held.
. "$(dirname "$0")/threads_lib.sh" || exit 1

watch -q -- "$TARGETS/target-threads-ledger"
expect "status" "$?" 0
expect_truth "$(last_creators)" out.stdout
expect "types" "$("$PROFILE_DUMP" "$(last_creators)" | grep '^type')" "type threadcreate count
type running count
type ended_unjoined count
type stack bytes"
expect "threads of a failed creation" "$(creators "$(last_creators)" | grep -c failed_creation)" 0
expect "own frames" "$(creators "$(last_creators)" | grep -i libleakwatch)" ""

# While the program runs the same is said of those that it made, and main is counted too, under a mark of its own.
begin -- env STAY=1 "$TARGETS/target-threads-ledger"
target=$(sed -n 's/^pid //p' out.stdout)
profile_now 0001
expect_truth out/threadcreate.0001.pb.gz out.stdout
expect "created by nobody we saw" "$(creators out/threadcreate.0001.pb.gz | grep -F '[')" "1 1 0 0 -1 [leakwatch: main thread]"
kill "$target"
finish

# The last words name who is to blame, and what it costs.
expect_match "the summary" "$(cat out.stderr)" \
  '^3 threads ended and never joined, holding 768.* KiB of stack \(.* resident\), created by unjoined_by_return '
expect_match "the summary" "$(cat out.stderr)" '^1 thread ended and never joined, .*created by unjoined_by_cancel '
expect "blamed for joined ones" "$(grep -E 'never joined.* by_|never joined.* detached_' out.stderr)" ""
