#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# PostgreSQL sleeps with our object from its start. Its own user, who may not trace it, wakes the postmaster and two of
# the processes that it makes for sessions, under pgbench. No transaction fails, and what a session keeps is found by
# name.
. "$(dirname "$0")/attach_lib.sh" || exit 1
# shellcheck source=postgres_lib.sh
. "$tests/real/postgres_lib.sh" || exit 1

sessions() { exec "${as_postgres[@]}" env PGAPPNAME=sessions pgbench -h "$work" -n -c 4 -j 2 -T 100 postgres; }
backend() { ask "select pid from pg_stat_activity where application_name = 'sessions' limit 1" | grep -E '^[0-9]+$'; }
open_session() { coproc session { exec "${as_postgres[@]}" psql -h "$work" -d postgres -X -A -t -q 2>&1; }; }
in_session() {
  local answer
  echo "$1" >&"${session[1]}"
  read -r -t 30 answer <&"${session[0]}" || fail "the session does not answer to: $1"
  echo "$answer"
}

cp "$(dirname "$TARGETS")/without-ptrace" program/
cat >unprivileged <<C
#!/bin/sh
exec ${as_postgres[*]} "$work/program/without-ptrace" "$LEAKWATCH" "\$@"
C
chmod 755 unprivileged program/without-ptrace
LEAKWATCH=$work/unprivileged

start_postgres env LD_PRELOAD="$work/program/preload/libleakwatch.so"
bench -i -q -s 1
under_load sessions.txt sessions
wait_until 30 backend || fail "no backend: $(cat sessions.txt)"
worker=$(backend)
join worker "$worker" -i 1s --exact
open_session
child=$(in_session 'select pg_backend_pid();')
"$LEAKWATCH" attach -o child --exact "$child" >child.stderr 2>&1 &
watchers[child]=$!
# It wakes with what it allocates: statements, until it has.
is_awake() { grep -qs '^leakwatch: watching' child.stderr; }
for _ in $(seq 300); do
  is_awake && break
  in_session "select length(repeat('x', 100000));" >/dev/null
  sleep 0.1
done
is_awake || fail "the session does not wake: $(cat child.stderr)"
is_left "$(postmaster)" || fail "the postmaster woke as well"
in_session "do \$\$ begin for i in 1..1000 loop
  execute format('prepare kept_%s as select %s', i, i); end loop; end \$\$; select 'prepared';" >prepared
expect "the answer" "$(cat prepared)" prepared
leave child worker
is_left "$worker" || fail "the worker has not gone to sleep"
# The session rests: it goes to sleep with what it allocates next.
for _ in $(seq 300); do
  is_left "$child" && break
  in_session "select length(repeat('x', 100000));" >/dev/null
done
is_left "$child" || fail "the session has not gone to sleep"
expect "prepared statements" "$(in_session 'select count(*) from pg_prepared_statements;')" 1000
exec {session[1]}>&-
end_load sessions.txt ALRM  # as its own clock does
expect_match "transactions" "$(cat sessions.txt)" '^number of failed transactions: 0 '
expect_match "transactions" "$(cat sessions.txt)" '^number of transactions actually processed: [1-9][0-9]{2}'
stop_postgres
expect "status of postgres" "$?" 0
expect "what it complained of" "$(complaints)" ""

live=$(sums "$(last_of child)" PrepareQuery | cut -d' ' -f4)
[ "$live" -ge 1000000 ] || fail "only $live bytes are kept below PrepareQuery"
[ "$(sums "$(last_of worker)" PostgresMain | cut -d' ' -f1)" -gt 0 ] || fail "nothing below PostgresMain in the worker"
