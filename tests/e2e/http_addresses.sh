# SPDX-License-Identifier: Apache-2.0
# Where it may be served: what cannot be had is said before the program starts; names that could be somebody else's are
# refused; a socket file is for its owner and goes away at the end.
. "$(dirname "$0")/http_lib.sh" || exit 1

expect_refused() { # ADDRESS REGEX
  "$LEAKWATCH" run -o out --http "$1" -- touch started >out.stdout 2>out.stderr
  expect "status for $1" "$?" 125
  expect_match "message for $1" "$(cat out.stderr)" "$2"
  [ ! -e started ] || fail "the program was started in spite of $1"
  [ -z "$(ls out 2>/dev/null)" ] || fail "profiles in spite of $1"
  rm -rf out
}
expect_refused 99999 '99999'
expect_refused 203.0.113.7:6060 '203.0.113.7'
touch plain
expect_refused unix:plain 'plain'

serve -- "$TARGETS/target-still"
first=$watcher
expect "by its address" "$(status /metrics)" 200
expect "by a name that is made to point here" "$(status /metrics -H 'Host: leaks.example')" 403
expect_match "what would permit it" "$(cat body)" '--http-host'
address=${url#http://}
mkdir other && (cd other && "$LEAKWATCH" run --http "$address" -- touch started 2>../busy.stderr)
expect "status for a port in use" "$?" 125
expect_match "message for a port in use" "$(cat busy.stderr)" "${address##*:}"
kill -KILL "$target"
wait "$first"

begin --http unix:served --http-host leaks.example -- "$TARGETS/target-still"
expect "who may come" "$(stat -c %a served)" 600
expect "over the socket" "$(curl -s --unix-socket served http://anything/metrics | grep -c '^leakwatch_heap_live_bytes ')" 1
kill -KILL "$target"
finish
[ ! -e served ] || fail "the socket is still there"
