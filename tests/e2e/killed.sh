# SPDX-License-Identifier: Apache-2.0
# A SIGKILL loses nothing: the profile of a target that was at rest is exact, that of one in a storm is well formed.
. "$(dirname "$0")/lib.sh" || exit 1

begin -q --exact -- "$TARGETS/target-still" 1000
kill -KILL "$target"
finish
expect "status of a target killed at rest" "$?" 137
expect_truth "$(last_profile)" out.stdout

for delay in 0.01 0.1 0.5; do
  touch gate
  begin -q --exact -- "$TARGETS/target-storm" 4 0 gate
  sleep "$delay"
  kill -KILL "$target"
  finish
  expect "status of a target killed in a storm" "$?" 137
  expect_nothing_lost "$(last_profile)"
  read -r objects space inuse _ < <(sums "$(last_profile)" storm_block)
  [ "$objects" -ge 1000 ] && [ "$space" -eq $((objects * 64)) ] || fail "$objects blocks in $space bytes"
  # Each of four threads holds 64 at most, and one more on its way.
  [ "$inuse" -le 260 ] || fail "$inuse blocks alive after $objects"
done
