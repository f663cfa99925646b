#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# PostgreSQL is joined under pgbench: the postmaster while it makes a process for each connection, and a backend while
# it works. No transaction fails. A backend that was made by a postmaster that we had joined is joined as well, and what
# its session keeps is found by name.
. "$(dirname "$0")/attach_lib.sh" || exit 1
# shellcheck source=postgres_lib.sh
. "$tests/real/postgres_lib.sh" || exit 1

# One connects anew for each transaction; the other one keeps its sessions.
connections() { exec "${as_postgres[@]}" pgbench -h "$work" -n -C -c 2 -T 100 postgres; }
sessions() { exec "${as_postgres[@]}" env PGAPPNAME=sessions pgbench -h "$work" -n -c 4 -j 2 -T 100 postgres; }
backend() { ask "select pid from pg_stat_activity where application_name = 'sessions' limit 1" | grep -E '^[0-9]+$'; }

# A session that we talk to: a line there, a line back.
open_session() { coproc session { exec "${as_postgres[@]}" psql -h "$work" -d postgres -X -A -t -q 2>&1; }; }
in_session() {
  local answer
  echo "$1" >&"${session[1]}"
  read -r -t 30 answer <&"${session[0]}" || fail "the session does not answer to: $1"
  echo "$answer"
}

start_postgres
bench -i -q -s 1
under_load connections.txt connections
under_load sessions.txt sessions
wait_until 30 backend || fail "no backend: $(cat sessions.txt)"
server=$(postmaster) worker=$(backend)
join first-server "$server" -i 1s
join first-worker "$worker" -i 1s --exact
sleep 2
leave first-worker first-server
join second-server "$server" -i 1s --exact
join second-worker "$worker" -i 1s
open_session
child=$(in_session 'select pg_backend_pid();')
sleep 1
join child "$child" --exact
for round in 1 2; do
  in_session "do \$\$ begin for i in 1..1000 loop
    execute format('prepare kept_${round}_%s as select %s', i, i); end loop; end \$\$; select 'prepared';" >prepared
  expect "the answer in round $round" "$(cat prepared)" prepared
  [ "$round" = 2 ] || leave child second-worker second-server
done
expect "prepared statements" "$(in_session 'select count(*) from pg_prepared_statements;')" 2000
exec {session[1]}>&-
for report in sessions.txt connections.txt; do
  end_load "$report" ALRM  # as its own clock does
  expect_match "transactions in $report" "$(cat "$report")" '^number of failed transactions: 0 '
  expect_match "transactions in $report" "$(cat "$report")" '^number of transactions actually processed: [1-9][0-9]{2}'
done
is_left "$server" || fail "the postmaster still has our memory"
stop_postgres
expect "status of postgres" "$?" 0
expect "what it complained of" "$(complaints)" ""

# Each statement is kept with its text, its tree and its plan, in a memory context of its own.
live=$(sums "$(last_of child)" PrepareQuery | cut -d' ' -f4)
[ "$live" -ge 1000000 ] || fail "only $live bytes are kept below PrepareQuery"
for folder in {first,second}-worker; do
  [ "$(sums "$(last_of $folder)" PostgresMain | cut -d' ' -f1)" -gt 0 ] || fail "nothing below PostgresMain in $folder"
done
