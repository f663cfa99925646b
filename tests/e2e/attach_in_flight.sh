# SPDX-License-Identifier: Apache-2.0
# Detached with a thread inside a hook: nothing is taken from under it, and nothing stays for ever.
. "$(dirname "$0")/attach_lib.sh" || exit 1

listen_well --exact "$TARGETS/target-attach-in-flight" "$object"
# The last session was empty, the one before is that which began while the thread was inside.
expect_truth_of "$(ls out/heap.*.pb.gz | tail -2 | head -1)" out.stdout
