# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# A PostgreSQL of our own in $work, for the tests with it: sourced after real.sh. Sets $PGUSER and ${as_postgres[@]},
# and a fresh cluster in $work/fresh.

programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
PATH=${programs:+$programs:}$PATH
for program in postgres initdb pgbench psql; do need "$program" postgresql; done

# postgres refuses to be root, and its user must be able to read what it runs.
as_postgres=()
if [ "$(id -u)" = 0 ]; then
  need setpriv util-linux
  id postgres >/dev/null 2>&1 || skip "there is no user postgres"
  as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups)
  chown postgres "$work"
fi
chmod 755 "$work"
mkdir program
cp -r "$(dirname "$LEAKWATCH")/../preload" program/preload
install -D "$LEAKWATCH" program/cli/leakwatch
chmod -R a+rX program
LEAKWATCH=$work/program/cli/leakwatch

postmaster() { head -1 data/postmaster.pid 2>/dev/null; }
cleanup() { [ -z "$(postmaster)" ] || kill -QUIT "$(postmaster)" 2>/dev/null; }
ask() { "${as_postgres[@]}" psql -h "$work" -d postgres -X -A -t -q -c "$1" 2>&1; }
is_up() { [ "$(ask 'select 1')" = 1 ]; }
bench() { "${as_postgres[@]}" timeout 60 pgbench -h "$work" "$@" postgres >bench.txt 2>&1 || fail "pgbench $*: $(cat bench.txt)"; }

# What went wrong with it, beside our asking it too early.
complaints() {
  grep -E 'PANIC|FATAL|terminated by signal|server process' server.log | grep -v 'the database system is starting up'
}

# start_postgres [COMMAND...]: on a fresh cluster, plain or under COMMAND; sets $watcher
start_postgres() {
  rm -rf data
  cp -a fresh data
  in_background "${as_postgres[@]}" "$@" "$(command -v postgres)" -D "$work/data" -k "$work" -c listen_addresses= \
    -c fsync=off -c logging_collector=off
  wait_until 30 is_up || fail "postgres does not answer: $(cat server.log)"
}
stop_postgres() { # returns its status
  kill -INT "$(postmaster)"
  wait "$watcher"
}

"${as_postgres[@]}" initdb -D "$work/fresh" -A trust -U postgres --no-sync >initdb.log 2>&1 || fail "initdb: $(cat initdb.log)"
export PGUSER=postgres
