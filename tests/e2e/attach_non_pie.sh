# SPDX-License-Identifier: Apache-2.0
# Attached to an executable that is not position-independent: the address of malloc is a PLT entry of its own, and must
# not be taken for the allocator.
. "$(dirname "$0")/attach_lib.sh" || exit 1

for how in lazy now; do
  listen_well --exact "$TARGETS/target-attach-non-pie-$how" "$object" "$TARGETS/libtarget-twin-first.so"
  expect_rounds 2
done
