# SPDX-License-Identifier: Apache-2.0
# Threads that leave by the bare system call tell nobody: a look at the kernel's list finds out, and one that should
# have been joined counts as every other.
. "$(dirname "$0")/threads_lib.sh" || exit 1

begin -- "$TARGETS/target-threads-raw-exit"
profile_now 0001
expect_truth out/threadcreate.0001.pb.gz out.stdout
kill "$target"
finish
expect "sentences of blame" "$(grep -c "never joined" out.stderr)" 1
expect_match "the summary" "$(cat out.stderr)" '^2 threads ended and never joined, holding 512 KiB of stack'
expect_truth "$(last_creators)" out.stdout
