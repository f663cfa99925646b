# SPDX-License-Identifier: Apache-2.0
# What a program that was joined pays once it is left: not one instruction. They are counted one by one, so this is the
# same on any machine.
. "$(dirname "$0")/lib.sh" || exit 1

"$TARGETS/target-rounds" >out.stdout &
target=$!
says_where() { counter=$(sed -n 's/^rounds at //p' out.stdout); [ -n "$counter" ]; }
wait_until 60 says_where || fail "the target is not ready"
rounds=40
steps() { "$(dirname "$TARGETS")/count-steps" "$target" "$counter" "$rounds"; }

before=$(steps) || fail "no count"
[ "$before" -gt $((rounds * 100)) ] || fail "$before instructions are too few for $rounds rounds"
expect "the same number again" "$(steps)" "$before"
for options in --sample-interval=1GiB --exact; do
  "$LEAKWATCH" attach "$options" -o "out$options" "$target" 2>stderr &
  watcher=$!
  wait_until 60 grep -qs 'memfd:leakwatch' "/proc/$target/maps" || fail "not joined: $(cat stderr)"
  during=$before
  counts_more() { during=$(steps) && [ "$during" -gt "$before" ]; }
  wait_until 60 counts_more || fail "a program that is watched takes no more instructions than one that is not: $during"
  kill -INT "$watcher"
  wait "$watcher" || fail "status $? with $options: $(cat stderr)"
  after=$(steps)
  expect "instructions after $options, of $rounds rounds ($during before that, $(steps) now; $(cat stderr))" "$after" "$before"
  echo "$options: before $before, while joined $during, after $before"
done
kill -KILL "$target"
