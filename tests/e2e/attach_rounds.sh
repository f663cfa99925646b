# SPDX-License-Identifier: Apache-2.0
# Attached, detached and attached again: each session has exactly what was allocated in it, also where libc works on the
# program's blocks; what is older is counted and not guessed.
. "$(dirname "$0")/attach_lib.sh" || exit 1

check() { # COMMAND...
  listen_well --exact "$@"
  expect_rounds 5
  expect_match "comments of the second session" "$(comments out/heap.0002.pb.gz)" \
    '^2 frees of blocks that are older than that'
  expect_match "comments of the first session" "$(comments out/heap.0001.pb.gz)" \
    '^Attached at 20..-..-..T..:..:..Z, while the program ran: '
}
check "$TARGETS/target-attach-rounds" "$object" 5
check "$TARGETS/target-attach-rounds-allocator" "$object" 5
# The same object, there from the start and asleep: no slot has to be patched.
check /usr/bin/env LD_PRELOAD="$object" "$TARGETS/target-attach-rounds" "$object" 5 preloaded
