# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of remembered walks share, over ../real/real.sh: leakwatch with the object that does each walk twice.

# shellcheck source=../real/real.sh
. "$(dirname "${BASH_SOURCE[0]}")/../real/real.sh" || exit 1

mkdir -p "$work/cli" "$work/preload" || exit 1
cp "$LEAKWATCH" "$work/cli/" && cp "$WALKS_OBJECT" "$work/preload/" || exit 1
cp "$WALKS_OBJECT" "$work/preload/libleakwatch-operators.so" || exit 1  # what it adds no program here has
LEAKWATCH=$work/cli/leakwatch
export LEAKWATCH_WALK_COUNTS=$work/counts

# expect_agreement WHAT LEAST: of the walks counted since the last time, none that was found differs from the true one,
# and at least LEAST of a hundred were found.
expect_agreement() {
  local walks found disagreements
  [ -s counts ] || fail "$1 counted no walks"
  read -r walks found disagreements <<<"$(awk '{ w += $2; f += $4; d += $6 } END { print w, f, d }' counts)"
  rm counts
  echo "$1: $walks walks, $found found" >&2
  expect "disagreements of $1" "$disagreements" 0
  [ $((found * 100)) -ge $((walks * $2)) ] || fail "$1: of $walks walks only $found were found"
}
