# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What every end-to-end test stands on: sourced first. Meson sets
#   LEAKWATCH      the program under test
#   PROFILE_DUMP   tests/tools/profile_dump.cc: a profile as lines
#   TARGETS        folder with the small target programs
# A test ends with status 0 (passed), 77 (skipped, with a reason on stderr) or anything else (failed).

set -u
work=$(mktemp -d) || exit 1
cleanup() { :; }                       # a test may redefine it
watcher='' target=''
trap 'cleanup; kill -KILL $target $watcher $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1

fail() { echo "FAILED: $*" >&2; exit 1; }
skip() { echo "skipped: $*" >&2; exit 77; }

# watch [OPTIONS] -- COMMAND...: runs it under leakwatch; profiles in $work/out, its own output in out.stdout and
# out.stderr. Returns the status of leakwatch.
watch() {
  rm -rf out
  "$LEAKWATCH" run -o out "$@" >out.stdout 2>out.stderr
}

# The newest profile of the last watch.
last_profile() { ls out/heap.*.pb.gz 2>/dev/null | tail -1; }

# totals PROFILE: alloc_objects alloc_space inuse_objects inuse_space
totals() { "$PROFILE_DUMP" "$1" | sed -n 's/^total //p'; }

# comments PROFILE, samples PROFILE (without order or addresses: the same in every run)
comments() { "$PROFILE_DUMP" "$1" | sed -n 's/^comment //p'; }
samples() { "$PROFILE_DUMP" "$1" | grep '^sample ' | sort; }

# sums PROFILE FRAME: the four sums over all samples whose stack has the function FRAME; ^FRAME: has it as its leaf
sums() {
  "$PROFILE_DUMP" "$1" | awk -v frame="$2" '
    BEGIN { leaf = frame ~ /^\^/ }
    $1 == "sample" {
      stack = $0; for (i = 0; i < 6; i++) sub(/^[^ ]* /, "", stack)
      at = index(";" stack ";", ";" (leaf ? substr(frame, 2) : frame) ";")
      if (leaf ? at == 1 : at) { for (i = 0; i < 4; i++) s[i] += $(i + 2) }
    }
    END { printf "%.0f %.0f %.0f %.0f\n", s[0], s[1], s[2], s[3] }  # %d of mawk has 32 bits'
}

# expect WHAT ACTUAL WANTED
expect() { [ "$2" = "$3" ] || fail "$1: got '$2', wanted '$3'"; }

# expect_ended_well PID WORDS: waits for a background process, which must end with 0; else shows the end of the file WORDS
expect_ended_well() {
  local status=0
  wait "$1" || status=$?
  [ "$status" = 0 ] || fail "status $status: $(tail -n 5 "$2")"
}

# expect_match WHAT TEXT EXTENDED_REGEX
expect_match() { grep -Eq -- "$3" <<<"$2" || fail "$1: '$2' does not match '$3'"; }

# expect_truth PROFILE FILE: what the target told in FILE ("truth FUNCTION" and four sums, tests/targets/truth.h) is
# what the profile says, and the profile does not say that anything was lost.
expect_truth() {
  expect_truth_of "$1" "$2"
  expect_nothing_lost "$1"
}
expect_truth_of() {
  local truth seen
  truth=$(sed -n 's/^truth //p' "$2")
  [ -n "$truth" ] || fail "the target told nothing: $(cat "$2")"
  seen=$(while read -r function _; do echo "$function $(sums "$1" "$function")"; done <<<"$truth")
  [ "$seen" = "$truth" ] || fail "$1 (>) is not the truth (<):" $'\n'"$(diff <(echo "$truth") <(echo "$seen"))"
}
expect_nothing_lost() {
  local lost
  lost=$(comments "$1" | grep -E 'unrecorded|session had not seen being|stack table full|made no sense|Blind since')
  expect "lost events in $1" "$lost" ""
}

# watch_exactly COMMAND...: watches it in exact mode; it must end well and have told the truth.
watch_exactly() {
  watch -q --exact -- "$@"
  expect "status of $*" "$?" 0
  expect_truth "$(last_profile)" out.stdout
}

# begin [OPTIONS] -- COMMAND...: watches in the background, until the target says "ready". Sets $watcher and $target.
begin() {
  rm -rf out out.stdout out.stderr
  "$LEAKWATCH" run -o out "$@" >out.stdout 2>out.stderr &
  watcher=$!
  wait_until 60 grep -qsx ready out.stdout || fail "the target is not ready: $(cat out.stdout out.stderr)"
  target=$(sed -n 's/^pid //p' out.stdout)
}
# finish: waits for leakwatch; returns its status.
finish() { wait "$watcher"; }

profile_exists() { [ -e "out/heap.$1.pb.gz" ]; }
# profile_now NUMBER: asks for one and waits until it is there.
profile_now() {
  kill -USR1 "$watcher"
  wait_until 60 profile_exists "$1" || fail "no profile $1 after SIGUSR1: $(cat out.stderr)"
}

# wait_until SECONDS COMMAND...: until the command succeeds
wait_until() {
  local deadline=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
}
