# SPDX-License-Identifier: Apache-2.0
# Where our memory does not fit under the program's limit it runs unwatched, as if we were not there, and that is said.
. "$(dirname "$0")/lib.sh" || exit 1

cat >limited <<SCRIPT
#!/bin/bash
ulimit -v 300000
exec "$TARGETS/target-surroundings" sh -c 'exit 42'
SCRIPT
chmod +x limited
watch --exact -- ./limited
expect "status" "$?" 42
expect_match "warning" "$(cat out.stderr)" 'warning: .*unwatched.*(address space|ulimit)'
expect_match "the program's own output" "$(cat out.stdout)" '^truth block_before_exec'
