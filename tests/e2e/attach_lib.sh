# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of attaching have in common: sourced first, in place of lib.sh. The program attaches itself
# (tests/targets/attach_self.h), and attach-listener is the leakwatch that it calls.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh" || exit 1

object=$(dirname "$LEAKWATCH")/../preload/libleakwatch.so
listener=$(dirname "$TARGETS")/attach-listener

# listen [OPTIONS] COMMAND...: runs a program that attaches itself; profiles in $work/out, one for each session, its
# output in out.stdout and out.stderr. Returns its status.
listen() {
  local options=()
  while [[ $1 == --* ]]; do options+=("$1"); shift; done
  rm -rf out
  "$listener" "${options[@]}" out "$@" >out.stdout 2>out.stderr
}

# listen_well [OPTIONS] COMMAND...: it must end well.
listen_well() {
  local status=0
  listen "$@" || status=$?
  expect "status of $* ($(cat out.stdout out.stderr | tail -n 5))" "$status" 0
}

# expect_rounds NUMBER: what the program told after each line "round N" is what the N-th profile says.
expect_rounds() {
  local round profile
  for ((round = 1; round <= $1; round++)); do
    profile=$(printf 'out/heap.%04d.pb.gz' "$round")
    [ -e "$profile" ] || fail "there is no profile of round $round: $(ls out) $(cat out.stderr)"
    awk -v wanted="$round" '$1 == "round" { round = $2 } round == wanted' out.stdout >told
    expect_truth_of "$profile" told
  done
}
