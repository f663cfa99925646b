# SPDX-License-Identifier: Apache-2.0
# Programs that bring their own allocator as a library, C and C++. Debian: libjemalloc2, libtcmalloc-minimal4.
. "$(dirname "$0")/lib.sh" || exit 1

libraries=()
for name in libjemalloc.so.2 libtcmalloc_minimal.so.4; do
  path=$(PATH=$PATH:/sbin ldconfig -p | sed -n "s/^[[:space:]]*$name .*x86-64.* => //p" | head -1)
  [ -n "$path" ] && libraries+=("$path")
done
[ ${#libraries[@]} -eq 2 ] || skip "libjemalloc2 and libtcmalloc-minimal4 are not installed"

for library in "${libraries[@]}" "$TARGETS/libtarget-slots-allocator.so"; do
  echo "$library"
  export LD_PRELOAD=$library
  for target in target-operators target-resize "target-exchange 8 20000 64" target-lifecycle target-hooks; do
    case $library:$target in *slots*:target-resize | *slots*:target-operators | *slots*:target-hooks) continue ;; esac
    # shellcheck disable=SC2086
    (trap - EXIT; watch_exactly "$TARGETS"/$target) || bad=1
  done
done
[ -z "${bad:-}" ] || fail "some of them"
