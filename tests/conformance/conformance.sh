#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The same questions to a Go service and to a native one that does the same: what they answer, and what `go tool pprof`
# makes of it. Prints the table of all requests.
. "$(dirname "$0")/../e2e/http_lib.sh" || exit 1
command -v go >/dev/null || skip "go is not installed (apt-get install golang-go)"
need_pprof

# Go keeps what it has built for the next time, but not below a home that is not ours to write to.
export GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local
[ -w "${HOME:-/nonexistent}" ] || export GOCACHE=$work/cache
export PPROF_TMPDIR=$work/pprof

for name in reference compare; do
  (cd "$SOURCE_ROOT/tests/conformance" && go vet "./$name" && go build -o "$work/$name" "./$name") || fail "go build $name"
done

# Otherwise a module of Go 1.19 gets that version's rules for paths and methods.
GODEBUG=httpmuxgo121=0 ./reference >reference.stdout 2>reference.stderr &
reference_pid=$!
wait_until 60 test -s reference.stdout || fail "no reference: $(cat reference.stderr)"
reference=$(cat reference.stdout)
serve -- "$TARGETS/target-counterpart"

./compare "$reference" "$url" || fail "answers differ from Go's"

# Both profiles through the same commands of go tool pprof.
for name in heap allocs goroutine threadcreate; do
  curl -sS -o "go.$name.pb.gz" "$reference/debug/pprof/$name" || fail "no $name from Go"
  curl -sS -o "ours.$name.pb.gz" "$url/debug/pprof/$name" || fail "no $name of ours"
done

# mebibytes FUNCTION: what the table on standard input says of it, cumulated
mebibytes() {
  awk -v function_name="$1" '$NF ~ function_name { sub(/MB$/, "", $4); print int($4); exit }'
}

# expect_about WHAT NUMBER WANTED: within half of it, as both are sampled
expect_about() {
  awk -v n="$2" -v w="$3" 'BEGIN { exit !(n != "" && n >= w / 2 && n <= w * 1.5) }' || fail "$1: $2 for about $3"
}

for who in go ours; do
  heap=$who.heap.pb.gz
  for index in inuse_space alloc_space; do
    pprof -top -unit=mb -sample_index=$index "$heap" >top || exit 1
    expect_about "$who, $index of small blocks" "$(mebibytes 'keep_?[sS]mall$' <top)" 64
    expect_about "$who, $index of large blocks" "$(mebibytes 'keep_?[lL]arge$' <top)" 64
  done
  pprof -top -sample_index=inuse_objects "$heap" >top || exit 1
  expect_about "$who, objects" "$(awk '$NF ~ /keep_?[sS]mall$/ { print $4 }' top)" 1024
  expect "$who, type of allocs" "$(pprof -top "$who.allocs.pb.gz" | sed -n 's/^Type: //p')" alloc_space
  expect "$who, type of heap" "$(pprof -top "$heap" | sed -n 's/^Type: //p')" inuse_space

  # Only blocks of about 64 KiB; pprof says on standard error that it takes this for a range.
  go tool pprof -top -unit=mb -tagfocus=bytes=60kb:80kb "$heap" >top 2>/dev/null || fail "$who, focus on a size"
  expect_about "$who, focus on a size" "$(mebibytes 'keep_?[sS]mall$' <top)" 64
  expect "$who, focus on a size" "$(mebibytes 'keep_?[lL]arge$' <top)" ""

  pprof -peek='keep_?[sS]mall$' "$heap" >peek || exit 1
  expect_match "$who, callers" "$(cat peek)" '\| +(main\.)?main$'
  pprof -traces "$heap" >traces || exit 1
  expect_match "$who, traces" "$(cat traces)" 'bytes: *64kB'
  pprof -top -diff_base "$heap" "$heap" >top || exit 1
  expect_match "$who, minus itself" "$(cat top)" '^Showing nodes accounting for 0, '

  pprof -proto "$heap" >again.pb.gz || exit 1
  expect "$who, written again" "$(pprof -top again.pb.gz)" "$(pprof -top "$heap")"
  pprof -raw "$heap" >raw || exit 1
  expect "$who, raw" "$(grep -E '^Period' raw)" "$(printf 'PeriodType: space bytes\nPeriod: 524288')"
  expect_match "$who, raw" "$(cat raw)" '^alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes$'

  pprof -top "$who.goroutine.pb.gz" >top || exit 1
  expect "$who, workers" "$(awk '$NF ~ /wait_?[fF]or_?[wW]ork$/ { print $4 }' top)" 8
  pprof -tags "$who.goroutine.pb.gz" >tags || exit 1
  expect_match "$who, names" "$(cat tags)" '^ +8(\.0)?( +\([^)]*\))?: worker-\*$'
  pprof -top "$who.threadcreate.pb.gz" >/dev/null || exit 1
done

# The text forms hold what the binary forms hold, but for rounding, and their addresses find their names by themselves.
total() { sed -n 's/^Showing nodes accounting for .* of \([0-9]*\)B total$/\1/p'; }
for name in heap goroutine threadcreate; do
  curl -sS -o "ours.$name.txt" "$url/debug/pprof/$name?debug=1" || fail "no text of $name"
  binary=$(pprof -top -unit=B "ours.$name.pb.gz" | total)
  text=$(go tool pprof -top -unit=B -symbolize=none "ours.$name.txt" 2>/dev/null | total)
  awk -v a="$binary" -v b="$text" 'BEGIN { exit !(a > 0 && b >= 0.99 * a && b <= 1.01 * a) }' ||
    fail "total of $name: '$text' in the text, '$binary' in the binary form"
done
go tool pprof -top -symbolize=remote "$url/debug/pprof/goroutine?debug=1" >top 2>/dev/null || fail "symbols by POST"
expect "workers in the text" "$(awk '$NF == "wait_for_work" { print $4 }' top)" 8

kill "$reference_pid"
wait "$reference_pid"
kill -TERM "$target"
finish
expect "status" "$?" 0
