# SPDX-License-Identifier: Apache-2.0
# C++ threads under watch do what they do without: destructors when cancelled and by pthread_exit, futures, exceptions.
# None of them is left in the ledger.
. "$(dirname "$0")/threads_lib.sh" || exit 1

"$TARGETS/target-threads-cpp" >plain 2>&1
expect "status without us" "$?" 0
for how in --sample-interval=512KiB --exact; do
  watch -q $how -i 100ms -- "$TARGETS/target-threads-cpp"
  expect "status $how" "$?" 0
  expect "what it said $how" "$(diff plain out.stdout)" ""
  creators=$(last_creators)
  expect "std::thread $how" "$(sums "$creators" make_threads)" "20 0 0 0"
  expect "std::jthread $how" "$(sums "$creators" make_jthreads)" "1 0 0 0"
  expect "std::async $how" "$(sums "$creators" make_futures)" "11 0 0 0"
  expect "created and detached $how" "$(sums "$creators" make_detached | cut -d' ' -f1)" 1
  expect "by pthread_create $how" "$(sums "$creators" main | cut -d' ' -f3)" 0
  if grep -q '^team' plain; then  # the team stays, for the next parallel part
    expect "OpenMP's team $how" "$(sums "$creators" make_team | cut -d' ' -f1-3)" "3 3 0"
  fi
done
