# SPDX-License-Identifier: Apache-2.0
# What the program and its children can see of us: nothing in the environment, no descriptor; what the user preloads
# stays.
. "$(dirname "$0")/lib.sh" || exit 1

target=$TARGETS/target-surroundings
"$target" env >plain 2>&1
watch -q --exact -- "$target" env
expect "status" "$?" 0
expect "what the program sees" "$(grep -Ev '^(environ )?_=' out.stdout)" "$(grep -Ev '^(environ )?_=' plain)"
watch_exactly "$target"

# A program started without standard input: our sockets come and go as descriptor 0.
"$target" <&- >plain 2>&1
watch -q --exact -- "$target" <&-
expect "what the program sees without stdin" "$(grep ^descriptor out.stdout)" "$(grep ^descriptor plain)"

other=$TARGETS/libtarget-slots-allocator.so
LD_PRELOAD=$other watch -q --exact -- "$target" env
expect "status with a preload of the user's" "$?" 0
expect "getenv" "$(grep '^getenv LD_PRELOAD' out.stdout)" "getenv LD_PRELOAD $other"
expect "env" "$(grep '^LD_PRELOAD' out.stdout)" "LD_PRELOAD=$other"
expect "LEAKWATCH_SOCKET" "$(grep LEAKWATCH_SOCKET= out.stdout)" ""
target=''

# Nobody is asked to watch it; it only must not notice. ThreadSanitizer itself does not run on every kernel.
object=$(realpath "$(dirname "$LEAKWATCH")/../preload/libleakwatch.so")
checked=$TARGETS/target-brief-tsan
if [ -e "$checked" ] && "$checked" 3 >/dev/null 2>&1; then
  LD_PRELOAD=$object "$checked" 3 >out.stdout 2>out.stderr
  status=$?
  expect "status of a program with ThreadSanitizer in which our object sleeps ($(tail -n 3 out.stderr))" "$status" 0
else
  echo "not tried: ThreadSanitizer"
fi
