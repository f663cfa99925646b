# SPDX-License-Identifier: Apache-2.0
# Attached, detached and attached again: each session has exactly what was allocated in it, also where libc works on the
# program's blocks; what is older is counted and not guessed.
. "$(dirname "$0")/attach_lib.sh" || exit 1

listen_well --exact "$TARGETS/target-attach-rounds" "$object" 5
expect_rounds 5
expect_match "comments of the second session" "$(comments out/heap.0002.pb.gz)" \
  '^2 frees of blocks that the session had not seen being allocated'
