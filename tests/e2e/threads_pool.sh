# SPDX-License-Identifier: Apache-2.0
# A pool that grows by one with each request: the difference of two profiles is the threads that came, and names the
# function they wait in, the one that made them, and their common name.
. "$(dirname "$0")/threads_lib.sh" || exit 1
need_pprof

says() { grep -qsx "$1" out.stdout; }
request() {
  kill -USR2 "$target"
  wait_until 60 says "request $1" || fail "no request $1: $(cat out.stdout out.stderr)"
}

begin -- "$TARGETS/target-threads-pool"
profile_now 0001
for number in 1 2 3 4 5; do request "$number"; done
profile_now 0002
kill "$target"
finish
expect "status" "$?" 0

came() { pprof -top -cum -diff_base "out/$1.0001.pb.gz" "${@:2}" "out/$1.0002.pb.gz"; }
came threads >top || exit 1
expect_match "threads that came" "$(cat top)" '^ +[^ ]+ +[^ ]+ +[^ ]+ +5 +[^ ]+ +wait_for_work$'
expect_match "threads that came in all" "$(cat top)" '5, .* of 1 total|of 5 total|5,.*% of [0-9]+ total'
expect "main among those that came" "$(grep -c ' main$' top)" 0
came threadcreate -sample_index=running >top || exit 1
expect_match "who made them" "$(cat top)" '^ +[^ ]+ +[^ ]+ +[^ ]+ +5 +[^ ]+ +handle_request$'
came threads -tagfocus='thread_name=^pool-worker-\*$' >top || exit 1
expect_match "by name" "$(cat top)" '^ +[^ ]+ +[^ ]+ +[^ ]+ +5 +[^ ]+ +wait_for_work$'
pprof -tags out/threads.0002.pb.gz >tags || exit 1
expect_match "names" "$(cat tags)" '^ +6(\.0)? .*: pool-worker-\*$'

# What the terminal said.
expect_match "the first line" "$(cat out.stderr)" 'live .*; 2 threads; out/heap.0001'
expect_match "the second line" "$(cat out.stderr)" 'live .*; 7 threads; out/heap.0002'
expect_match "the summary" "$(cat out.stderr)" \
  '^6 threads \[futex wait\] at wait_for_work threads_pool.cc:[0-9]+, created by grow_pool threads_pool.cc:[0-9]+ \(\+5\)'
expect "blamed for nothing" "$(grep 'never joined' out.stderr)" ""
