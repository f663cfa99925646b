# SPDX-License-Identifier: Apache-2.0
# Threads that free each other's blocks: exact over two million events, with addresses that go round slowly and as fast
# as they can. More threads than processors keep the rings full, so the waiting is tested too.
. "$(dirname "$0")/lib.sh" || exit 1

watch_exactly "$TARGETS/target-exchange" 8 125000 4096
watch_exactly "$TARGETS/target-exchange" 8 125000 4
watch_exactly "$TARGETS/target-exchange" 2 200000 1
