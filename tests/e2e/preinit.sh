# SPDX-License-Identifier: Apache-2.0
# The executable's preinit_array runs before libc has set up `environ`: these are the first allocations of all.
. "$(dirname "$0")/lib.sh" || exit 1

watch_exactly "$TARGETS/target-lifecycle" preinit
