# SPDX-License-Identifier: Apache-2.0
# Programs are joined that have libc's allocator, or one of their own as a library, C and C++: exact counts from then
# on. Debian: libjemalloc2, libtcmalloc-minimal4.
. "$(dirname "$0")/lib.sh" || exit 1

libraries=("")
for name in libjemalloc.so.2 libtcmalloc_minimal.so.4; do
  path=$(PATH=$PATH:/sbin ldconfig -p | sed -n "s/^[[:space:]]*$name .*x86-64.* => //p" | head -1)
  [ -n "$path" ] && libraries+=("$path")
done
[ ${#libraries[@]} -eq 3 ] || skip "libjemalloc2 and libtcmalloc-minimal4 are not installed"

# join_and_run LIBRARY COMMAND...: joins it before it begins, and has it run to its end
join_and_run() {
  local library=$1
  shift
  rm -rf out out.stdout out.stderr
  JOIN_POINT=1 LD_PRELOAD=$library "$@" >out.stdout &
  target=$!
  wait_until 60 grep -qsx ready out.stdout || fail "the target is not ready"
  "$LEAKWATCH" attach --exact -o out "$target" 2>out.stderr &
  watcher=$!
  wait_until 60 grep -qs '^leakwatch: watching' out.stderr || fail "not joined: $(cat out.stderr)"
  kill -USR2 "$target"
  wait "$target"
  expect "status of $*" "$?" 0
  target=
  expect_ended_well "$watcher" out.stderr
  expect_truth "$(last_profile)" out.stdout
}
for library in "${libraries[@]}"; do
  echo "${library:-libc}"
  join_and_run "$library" "$TARGETS/target-operators"
  join_and_run "$library" "$TARGETS/target-resize"
  join_and_run "$library" "$TARGETS/target-exchange" 8 20000 64
done
