# SPDX-License-Identifier: Apache-2.0
# What a thread on 64-bit ARM is made of while it is made to call: its frames, taken by a kernel's return from a signal
# handler, which an emulator plays where this is another machine. Then one byte of a frame is wrong, and it must be seen.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

run=()
compiler=aarch64-linux-gnu-g++
if [ "$(uname -m)" != aarch64 ]; then
  command -v "$compiler" >/dev/null || { echo "skipped: no $compiler" >&2; exit 77; }
  command -v qemu-aarch64 >/dev/null || { echo "skipped: no qemu-aarch64" >&2; exit 77; }
  run=(qemu-aarch64)
else
  compiler=g++
fi

# build NAME SOURCE
build() {
  "$compiler" -std=c++20 -O2 -g -Wall -Wextra -Werror -static -I "$SOURCE_ROOT" -o "$work/$1" \
    "$SOURCE_ROOT/tests/emulated/remote_call_aarch64.cc" "$2" "$SOURCE_ROOT/cli/trace/system_call_restart.cc" ||
    fail "does not compile"
}
source=$SOURCE_ROOT/cli/trace/remote_call_aarch64.cc
build right "$source"
timeout 60 "${run[@]}" "$work/right" || fail "status $?"

# A test that cannot fail says nothing: with another mask in a frame it does.
sed 's/frame\.signal_mask = mask;/frame.signal_mask = ~mask;/' "$source" >"$work/wrong.cc"
cmp -s "$work/wrong.cc" "$source" && fail "nothing was made wrong"
build wrong "$work/wrong.cc"
timeout 60 "${run[@]}" "$work/wrong" >"$work/said" && fail "a frame with another signal mask is not seen"
grep -q 'mask' "$work/said" || fail "it fails for another reason: $(cat "$work/said")"
