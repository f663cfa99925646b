# SPDX-License-Identifier: Apache-2.0
# A process that becomes another program stays watched, through any wrapper that does not fork; children do not.
. "$(dirname "$0")/lib.sh" || exit 1

watch --exact -- env A=1 nice -n 1 bash -c 'exec "$0"' "$TARGETS/target-resize" || fail "status $?"
expect_truth "$(last_profile)" out.stdout
expect "programs on the way" "$(grep -c 'now runs' out.stderr)" 3
expect "profiles" "$(ls out/*.pb.gz | wc -l)" 3

# What had been profiled before is profiled once more at its end.
watch -i 200ms --exact -- bash -c 'sleep 0.5; exec "$0"' "$TARGETS/target-resize" || fail "status $?"
expect_truth "$(last_profile)" out.stdout
before=$(ls out/heap.*.pb.gz | tail -2 | head -1)
expect_match "the program before" "$("$PROFILE_DUMP" "$before" | grep '^comment command')" 'command: bash -c'

# The last profile of the one before may take longer to take than the new one's rings last; and no last one is left out,
# however many wait to be written.
watch -i 20ms --exact -- "$TARGETS/target-many-stacks" 16 "$TARGETS/target-resize" || fail "status $?"
expect_truth "$(last_profile)" out.stdout

# The child is told apart from its parent.
watch_exactly bash -c '"$0" >/dev/null; exec "$0"' "$TARGETS/target-resize"
