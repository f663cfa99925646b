# SPDX-License-Identifier: Apache-2.0
# Where each thread is, waiting or running, also main and one that raw clone made; and that being looked at is not felt:
# no system call fails with EINTR.
. "$(dirname "$0")/threads_lib.sh" || exit 1
functions='at_condition at_epoll at_poll at_sleep at_spin at_raw_clone main_waits'

begin -q -- "$TARGETS/target-threads-where"
for number in 0001 0002 0003 0004 0005; do profile_now $number; done
kill "$target"
finish
expect "status" "$?" 0
expect "broken system calls" "$(grep ^broken out.stdout)" "broken 0"
for number in 0001 0005; do
  for function in $functions; do
    expect "threads at $function in $number" "$(threads_at "out/threads.$number.pb.gz" "$function")" 1
  done
  expect "threads in all in $number" "$("$PROFILE_DUMP" "out/threads.$number.pb.gz" | grep ^total)" "total 7"
  expect "notes in $number" "$(comments "out/threads.$number.pb.gz" | grep -v ^command:)" ""
done
creators=out/threadcreate.0005.pb.gz
expect "those that pthread_create made" "$(sums $creators create_placed | cut -d' ' -f1-3)" "5 5 0"
expect "main and the raw one" "$(creators $creators | grep -F '[leakwatch' | cut -d' ' -f1-3)" "1 1 0
1 1 0"
expect "running in all" "$("$PROFILE_DUMP" $creators | awk '$1 == "total" { print $3 }')" 7
difference() { diff <("$PROFILE_DUMP" "$1" | grep ^sample | grep -v at_spin) <("$PROFILE_DUMP" "$2" | grep ^sample | grep -v at_spin); }
expect "what moved in threads at rest" "$(difference out/threads.0004.pb.gz out/threads.0005.pb.gz)" ""
