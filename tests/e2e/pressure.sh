# SPDX-License-Identifier: Apache-2.0
# The reader is stopped again and again while eight threads storm, never for as long as a writer waits: nothing is lost.
. "$(dirname "$0")/lib.sh" || exit 1

begin -q --exact -- "$TARGETS/target-storm" 8 300000 gate
touch gate
stops=0
while kill -0 "$target" 2>/dev/null; do
  kill -STOP "$watcher"; sleep 0.05; kill -CONT "$watcher"; sleep 0.05
  stops=$((stops + 1))
done
echo "stopped $stops times"
finish
expect "status" "$?" 0
expect "sums" "$(sums "$(last_profile)" storm_block)" "2401000 153664000 0 0"
expect_nothing_lost "$(last_profile)"
