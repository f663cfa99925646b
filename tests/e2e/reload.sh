# SPDX-License-Identifier: Apache-2.0
# An address belongs to the library that was there at the time: two libraries in turn at one place keep their names,
# also for blocks that outlive them, and with another thread that allocates meanwhile.
. "$(dirname "$0")/lib.sh" || exit 1

libraries=("$TARGETS/libtarget-twin-first.so" "$TARGETS/libtarget-twin-second.so")
for beside in '' beside; do
  watch_exactly "$TARGETS/target-reload" "${libraries[@]}" 200 $beside
  [ "$(sed -n 's/^reused //p' out.stdout)" -gt 100 ] || fail "the libraries lay at different places: nothing was tested"
done

# More often than the object remembers libraries.
watch_exactly "$TARGETS/target-reload" "${libraries[@]}" 2500
