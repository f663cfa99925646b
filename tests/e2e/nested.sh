# SPDX-License-Identifier: Apache-2.0
# An allocator library whose calloc and realloc are made of its malloc and free, and so enter our hooks from inside a
# hook: one allocation counts once.
. "$(dirname "$0")/lib.sh" || exit 1

watch_exactly "$TARGETS/target-nested"
