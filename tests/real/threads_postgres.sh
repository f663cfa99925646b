#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# PostgreSQL under pgbench. It has processes where others have threads: a postmaster that forks, with one thread and no
# helper. It goes on through all of it, and a killed backend, as without us; its children are counted and said. Then a
# backend alone, with queries that LLVM compiles, which is watched itself.
. "$(dirname "$0")/real.sh" || exit 1
need_pprof
# shellcheck source=postgres_lib.sh
. "$tests/real/postgres_lib.sh" || exit 1

is_asleep() { [ "$(ask "select count(*) from pg_stat_activity where query = 'select pg_sleep(600)'")" = 1 ]; }

# serve [COMMAND...]: the life of a server; says what its clients see
serve() {
  start_postgres "$@"
  echo "threads $(ls "/proc/$(postmaster)/task" | wc -l), descriptors $(descriptors "$(postmaster)")"
  bench -i -q -s 1
  bench -n -c 4 -j 2 -t 250 --random-seed=7
  sed -nE 's/^number of (transactions actually|failed)/&/p' bench.txt
  ask 'select count(*), sum(delta) from pgbench_history'
  ask 'select sum(abalance) from pgbench_accounts'

  ask 'select pg_sleep(600)' >interrupted &
  wait_until 30 is_asleep || fail "no backend sleeps: $(cat interrupted)"
  kill -KILL "$(ask "select pid from pg_stat_activity where query = 'select pg_sleep(600)'")"
  wait $!
  wait_until 30 is_up || fail "postgres is not back after the death of a backend: $(cat server.log)"
  bench -n -C -c 4 -j 2 -t 50 --random-seed=8  # a process for each transaction
  sed -nE 's/^number of (transactions actually|failed)/&/p' bench.txt
  ask 'select count(*), sum(delta) from pgbench_history'

  [ $# = 0 ] || profile_now 0001
  stop_postgres
  echo "status $?"
  [ -z "$(postmaster)" ] && echo gone
}

serve >plain
expect_match "plain run" "$(cat plain)" '^status 0$'
expect_match "plain run" "$(cat plain)" '^number of transactions actually processed: 1000/1000$'
expect_match "plain run" "$(cat plain)" '^threads 1,'

for how in --sample-interval=512KiB --exact; do
  serve "$LEAKWATCH" run "$how" -i 10m -o "$work/out" -- >watched
  expect "what clients saw $how" "$(diff plain watched)" ""
  for profile in threads threadcreate; do
    expect "threads in the $profile profile $how" \
      "$("$PROFILE_DUMP" out/$profile.0001.pb.gz | awk '$1 == "total" { print $2 }')" 1
  done
  expect "the one thread $how" "$(threads_at out/threads.0001.pb.gz PostmasterMain)" 1
  # At the very least the 204 connections of pgbench that came and went.
  forks=$(sed -n 's/^Children made by fork are not watched, and it made \([0-9]*\);.*/\1/p' server.log)
  [ "${forks:-0}" -ge 204 ] || fail "forks $how: '$forks' in $(cat server.log)"
  expect_readable "$(last_profile)" out/heap.0001.pb.gz
  expect_whole_stacks "$(last_profile)"
done

cat >queries <<'Q'
create table t as select i, i % 17 as k, md5(i::text) as s from generate_series(1, 20000) i;
select k, count(*), max(s), sum(i * 3 + k) from t where i % 5 <> 2 group by k order by k limit 3;
select count(*) from t a join t b on a.s = b.s where a.k < b.i;
Q
alone() {
  rm -rf data
  cp -a fresh data
  "${as_postgres[@]}" "$@" "$(command -v postgres)" --single -D "$work/data" -c fsync=off -c jit=on -c jit_above_cost=0 \
    -c jit_optimize_above_cost=0 postgres <queries >alone.txt 2>alone.stderr
  printf "\nstatus %s\n" $? >>alone.txt
}
alone
expect_match "alone without us" "$(cat alone.txt)" '^status 0$'
mv alone.txt plain
for how in --sample-interval=64KiB --exact; do
  rm -rf out
  alone "$LEAKWATCH" run -q "$how" -i 200ms -o "$work/out" --
  expect "answers $how" "$(diff plain alone.txt)" ""
  expect "threads alone $how" "$("$PROFILE_DUMP" "$(last_creators)" | awk '$1 == "total" { print $2 }')" 1
  expect_readable "$(last_profile)"
  [ ! -e "$programs/../lib/llvmjit.so" ] || [ "$how" != --exact ] ||
    expect_match "stacks that compiled code ends" "$(samples "$(last_profile)")" ';md5_text;\[unknown code\];'
  [ "$(sums "$(last_profile)" PostgresMain | cut -d' ' -f1)" -gt 100 ] || fail "few allocations below PostgresMain $how"
done
