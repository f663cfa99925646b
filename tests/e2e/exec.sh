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

for kind in execl execlp execle execve; do
  watch --exact -- "$TARGETS/target-exec-kinds" $kind "$TARGETS/target-resize" all || fail "$kind: status $?"
  expect_truth "$(last_profile)" out.stdout
  # One that fails changes nothing.
  watch --exact -- "$TARGETS/target-exec-kinds" $kind nothing at-all || fail "$kind of nothing: status $?"
  expect_truth "$(last_profile)" out.stdout
done

# A program that cannot be watched is not taken for the one before, however it came and however soon it ended.
unwatched='Blind since recording ended early: the process has become another program, which has not called back'
watch -i 200ms --exact -- "$TARGETS/target-exec-kinds" raw /bin/sleep 2.5 || fail "status $?"
expect_match "warning" "$(cat out.stderr)" 'warning: the process now runs /[a-z/]*(sleep|coreutils|busybox), which has not called back'
expect "sentence in profiles" "$(grep -c "$unwatched" <<<"$(for each in out/heap.*; do comments "$each"; done)")" \
  "$(find out -name 'heap.*' | wc -l)"
expect "sentence in report" "$(grep -c "$unwatched" out.stderr)" 1
expect "lines with the memory of another program" "$(grep -c RSS out.stderr)" 0
watch --exact -- "$TARGETS/target-exec-kinds" execl "$TARGETS/target-unwatchable" at-all || fail "status $?"
expect "sentence of a brief one" "$(grep -c "$unwatched" out.stderr)" 1

# One that becomes another user's, as services in containers do.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null &&
    setpriv --reuid=65534 --clear-groups test -x "$TARGETS/target-resize" -a -r "$(dirname "$LEAKWATCH")/../preload/libleakwatch.so"; then
  watch --exact -- setpriv --reuid=65534 --clear-groups "$TARGETS/target-resize" || fail "status $?"
  expect_truth "$(last_profile)" out.stdout
else
  echo "not tried as another user: nobody may not look at $TARGETS" >&2
fi
