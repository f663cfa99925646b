# SPDX-License-Identifier: Apache-2.0
# Children of a process that is joined have its hooks, and nobody who watches them. They can be joined themselves,
# beside their parent or after it, and be left like any other.
. "$(dirname "$0")/lib.sh" || exit 1

"$TARGETS/target-keeper" >out.stdout &
target=$!
children=()
cleanup() { [ ${#children[@]} -eq 0 ] || kill -KILL "${children[@]}" 2>/dev/null; }
lines() { grep -c "^$1" out.stdout; }
has_lines() { [ "$(lines "$2")" -ge "$1" ]; }
wait_until 60 has_lines 1 ready || fail "the target is not ready"

declare -A watchers=()
join() { # FOLDER PID
  "$LEAKWATCH" attach --exact -o "$1" "$2" 2>"$1.stderr" &
  watchers[$1]=$!
  wait_until 60 grep -qs '^leakwatch: watching' "$1.stderr" || fail "$1 is not joined: $(cat "$1.stderr")"
}
leave() { # FOLDER BLOCKS
  kill -INT "${watchers[$1]}"
  expect_ended_well "${watchers[$1]}" "$1.stderr"
  profile=$(ls "$1"/heap.*.pb.gz | tail -1)
  expect "what the $1 kept" "$(sums "$profile" kept_block)" "$2 $(($2 * 1000)) $2 $(($2 * 1000))"
  expect_nothing_lost "$profile"
}
keep() { # PID
  local before
  before=$(lines kept)
  kill -USR2 "$1"
  wait_until 60 has_lines $((before + 1)) kept || fail "process $1 does not answer"
}
make_child() { # sets $child
  kill -HUP "$target"
  wait_until 60 has_lines $((${#children[@]} + 1)) child || fail "no child"
  child=$(sed -n 's/^child //p' out.stdout | tail -1)
  children+=("$child")
}

join parent "$target"
make_child
keep "$child"
join first "$child"
keep "$child"
keep "$target"
keep "$child"
make_child
keep "$child"
"$LEAKWATCH" detach "$child" || fail "a child that nobody had joined is not detached: status $?"
keep "$child"
join second "$child"
keep "$child"
leave parent 10
leave first 20
keep "${children[0]}"
make_child
leave second 10
join orphan "$child"
keep "$child"
leave orphan 10
for child in "${children[@]}"; do keep "$child"; done
