# SPDX-License-Identifier: Apache-2.0
# What a program pays for a malloc and its free that are no sample: a few instructions, asleep and watched. They are
# counted one by one, so this is the same on any machine. That they are so few also says that the program has no block
# from before the next functions were known: its frees would have to ask for it.
. "$(dirname "$0")/lib.sh" || exit 1

object=$(realpath "$(dirname "$LEAKWATCH")/../preload/libleakwatch.so")
rounds=40
pairs=$((rounds * 3))  # target-rounds makes three in each
most=19                # for each pair: 16 with g++ 12; compilers differ by one or two, and a sleeper looks up at times

# steps [PARENT]: of the program in the background, or of the one that it started; ends it.
steps() {
  says_where() { counter=$(sed -n 's/^rounds at //p' out.stdout); [ -n "$counter" ]; }
  wait_until 60 says_where || fail "the target is not ready"
  target=$!
  [ $# = 0 ] || target=$(pgrep -P "$1" -x target-rounds) || fail "there is no target under $1"
  count=$("$(dirname "$TARGETS")/count-steps" "$target" "$counter" "$rounds") || fail "no count"
  kill -KILL "$target"
  rm out.stdout
}

"$TARGETS/target-rounds" >out.stdout &
steps
native=$count
[ "$native" -gt $((pairs * 30)) ] || fail "$native instructions are too few for $pairs pairs"

check() { # HOW
  local added=$((count - native))
  echo "$1: $added instructions more for $pairs pairs"
  [ "$added" -gt 0 ] || fail "$1: nothing of ours was called"
  [ "$added" -le $((pairs * most)) ] || fail "$1: $added instructions more for $pairs pairs, over $most each"
}

LD_PRELOAD=$object "$TARGETS/target-rounds" >out.stdout &
steps
check asleep

"$LEAKWATCH" run -q --sample-interval=1GiB -o out "$TARGETS/target-rounds" >out.stdout 2>out.stderr &
watcher=$!
steps "$watcher"
check sampled
wait "$watcher"
watcher=
exit 0
