# SPDX-License-Identifier: Apache-2.0
# realloc in all its forms, sizes of zero and too much, and blocks that are still alive at the end.
. "$(dirname "$0")/lib.sh" || exit 1

watch_exactly "$TARGETS/target-resize"
