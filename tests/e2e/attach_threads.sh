# SPDX-License-Identifier: Apache-2.0
# Threads that are older than the session, and threads that outlive it; attached from a thread that is not the first.
. "$(dirname "$0")/attach_lib.sh" || exit 1

listen_well --exact "$TARGETS/target-attach-threads" "$object"
expect_rounds 2
# The first thread's stack has its end.
expect_match "the stack of the first thread" "$(samples out/heap.0001.pb.gz | grep main_block)" ';main;.*_start$'
