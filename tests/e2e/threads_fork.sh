# SPDX-License-Identifier: Apache-2.0
# Children of a threaded program that make threads of their own end well, and leave no trace in the parent's ledger.
. "$(dirname "$0")/threads_lib.sh" || exit 1

watch -q -i 100ms -- "$TARGETS/target-threads-fork"
expect "status" "$?" 0
expect_truth "$(last_creators)" out.stdout
