# SPDX-License-Identifier: Apache-2.0
# All that stops threads and calls in them is built for 64-bit ARM, every warning an error.
. "$(dirname "$0")/aarch64_lib.sh"
make_headers
# shellcheck disable=SC2086
compile "$work/objects" $stopping_sources
# What one machine has and the other has not would be missed here.
symbols=$(aarch64-linux-gnu-nm -C "$work/objects/tracee_aarch64.o" 2>/dev/null || nm -C "$work/objects/tracee_aarch64.o")
for name in read_registers_and_repair_call machine_registers read_context set_registers set_floating; do
  grep -q " T leakwatch::$name(" <<<"$symbols" || fail "tracee_aarch64.cc has no $name"
done
echo "built for 64-bit ARM"
