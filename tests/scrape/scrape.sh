# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests with scrapers share, over ../real/real.sh. Each script sources this first.

tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=../real/real.sh
. "$tests/real/real.sh" || exit 1

# example NAME: an example of the manual page, as its reader sees it; a comment in the page names it.
example() {
  awk -v mark=".\\\\\" example $1" '$0 == mark { on = 1; next } on && $0 == ".EE" { exit } on' \
    "$SOURCE_ROOT/man/leakwatch.1" | sed 's/\\-/-/g; s/\\e/\\/g' >"$1"
  [ -s "$1" ] || fail "the manual page has no example $1"
}

# serve_service [OPTIONS]: tests/service under watch, in the background, until leakwatch serves and the service listens.
# Sets $watcher, $target, $url (leakwatch, without a slash at its end) and $port (the service).
serve_service() {
  in_background "$LEAKWATCH" run --http 127.0.0.1:0 -i 1h -o out "$@" -- "$TARGETS/../service/service"
  wait_until 60 grep -qs '^listening on ' server.log || fail "the service does not listen: $(cat server.log)"
  port=$(sed -n 's/^listening on 127\.0\.0\.1://p' server.log)
  target=$(sed -n 's/^leakwatch: watching .*(pid \([0-9]*\)).*/\1/p' server.log)
  url=$(sed -n 's|^leakwatch: serving \(http://[^/]*\)/$|\1|p' server.log)
  [ -n "$url" ] || fail "no address: $(cat server.log)"
}

# put_load SECONDS RATE: asks the service in the background; what it says is in load.log. Sets $load.
put_load() {
  "$TARGETS/../service/load" "$port" "$@" >load.log 2>&1 &
  load=$!
}
