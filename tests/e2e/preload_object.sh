# SPDX-License-Identifier: Apache-2.0
# What the linker made of the preload objects: exports, needs, thread-local storage.
. "$(dirname "$0")/lib.sh" || exit 1

check=$SOURCE_ROOT/scripts/check-preload-object
folder=$(dirname "$LEAKWATCH")/../preload
"$check" "$folder/libleakwatch.so" || fail "libleakwatch.so"
[ ! -e "$folder/libleakwatch-operators.so" ] || "$check" "$folder/libleakwatch-operators.so" || fail "the variant"
# It must see what is wrong: a library that exports other things, and needs libstdc++.
"$check" "$TARGETS/libtarget-slots-allocator.so" 2>/dev/null && fail "an allocator passed for our object"
exit 0
