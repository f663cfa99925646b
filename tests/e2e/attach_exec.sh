# SPDX-License-Identifier: Apache-2.0
# A program that is attached to becomes another one, which is watched from its start.
. "$(dirname "$0")/attach_lib.sh" || exit 1

listen_well --exact "$TARGETS/target-attach-exec" "$object"
expect_truth out/heap.0002.pb.gz out.stdout
expect "the first program" "$(sums out/heap.0001.pb.gz before_block)" "1 100 1 100"
