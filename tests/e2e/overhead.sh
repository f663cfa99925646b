# SPDX-License-Identifier: Apache-2.0
# With --overhead the sampling interval grows in a storm of allocations and shrinks when it is over, and the figures stay
# right: each sample carries the interval that it was taken with. When all is freed, nothing is left.
. "$(dirname "$0")/lib.sh" || exit 1

# now FILE, lowest FILE, highest FILE: the intervals that the profile tells, in bytes
in_bytes() { sed -E 's/ B$//; s/ (.)iB$/\1/' | numfmt --from=iec; }
told='one sample every (.*) on average at the moment, and from (.*) to (.*) since the start'
now() { comments "$1" | sed -nE "s/.*$told.*/\1/p" | in_bytes; }
lowest() { comments "$1" | sed -nE "s/.*$told.*/\2/p" | in_bytes; }
highest() { comments "$1" | sed -nE "s/.*$told.*/\3/p" | in_bytes; }

number=0
next_profile() {
  number=$((number + 1))
  profile_now "$(printf %04d $number)"
  profile=$(last_profile)
}
# Beyond what 128 MiB of live heap forbid to fall below, or it could not shrink again.
has_grown() { next_profile; [ "$(now "$profile")" -ge 65536 ]; }
has_shrunk() { next_profile; [ "$(now "$profile")" -lt "$stormy" ]; }

# check_kept PROFILE FILE: what is alive of each site against what the target told in FILE. The largest interval R that
# was in use gives the largest error: of n blocks of s bytes, sqrt(n (1 - p) / p), p = 1 - e^(-s/R). Six of these.
check_kept() {
  local site bytes count
  while read -r site bytes count; do
    read -r _ _ objects space < <(sums "$1" "$site")
    awk -v s="$bytes" -v n="$count" -v R="$(highest "$1")" -v objects="$objects" -v space="$space" '
      function off(x) { return x < 0 ? -x : x }
      BEGIN { p = 1 - exp(-s / R); error = 6 * sqrt(n * (1 - p) / p) + 1
              exit off(objects - n) > error || off(space - n * s) > error * s }' ||
      fail "$site: $objects blocks and $space bytes are shown, where $count of $bytes are (largest interval $(highest "$1"))"
  done < <(grep '^kept_' "$2")
}

begin -i 1h --overhead 2% --sample-interval 1000 -- "$TARGETS/target-weather" keep calm end
wait_until 120 has_grown || fail "the interval did not grow: $(comments "$profile")"
touch keep
sleep 3  # the storm goes on
touch calm
wait_until 60 grep -qsx calm out.stdout || fail "no calm: $(cat out.stdout)"
next_profile
check_kept "$profile" out.stdout
expect_nothing_lost "$profile"
expect "the first interval" "$(lowest "$profile")" 1000
stormy=$(highest "$profile")
wait_until 120 has_shrunk || fail "the interval did not shrink: $(comments "$profile")"
check_kept "$profile" out.stdout
expect_match "the cost" "$(comments "$profile")" \
  '^Recording took [0-9.]+% of the program.s processor time, .*; the limit is 2\.00%\.$'
touch end
finish
expect "status" "$?" 0
for site in kept_small kept_large blown_away; do
  read -r objects _ inuse space < <(sums "$(last_profile)" $site)
  [ "$objects" -gt 0 ] || fail "$site was never seen"
  expect "$site at the end" "$inuse $space" "0 0"
done
expect_match "the beginning" "$(cat out.stderr)" 'one sample per 1000 B at first, then at a cost of up to 2\.00%'
expect_match "the lines" "$(cat out.stderr)" '; a sample every [0-9.]+ [KM]iB, <?[0-9.]+% of its processor time so far; out/heap'
expect_match "the summary" "$(cat out.stderr)" '^Recording took [0-9.]+% of the program'

# The program that it becomes is steered as well, from the first interval on.
rm end
number=0 stormy=524288
begin -q --overhead 0.5 -i 1h -- bash -c 'exec "$0" "$@"' "$TARGETS/target-weather" keep calm end
wait_until 60 grep -qsx calm out.stdout || fail "no calm: $(cat out.stdout)"
wait_until 120 has_shrunk || fail "the next program's interval did not shrink: $(comments "$profile")"
touch end
finish
expect "status" "$?" 0
expect "output with -q" "$(cat out.stderr)" ""

# So is one that is joined.
rm -rf out calm end
"$TARGETS/target-weather" keep calm end >out.stdout &
target=$!
"$LEAKWATCH" attach -i 1h -o out --overhead 1% --sample-interval 1000 "$target" 2>out.stderr &
watcher=$!
wait_until 60 grep -qs '^leakwatch: watching' out.stderr || fail "not joined: $(cat out.stderr)"
number=0
wait_until 120 has_grown || fail "the interval of the joined one did not grow: $(cat out.stderr)"
kill -INT "$watcher"
finish
expect "status" "$?" 0
touch calm end
expect_ended_well "$target" out.stdout
