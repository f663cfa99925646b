# SPDX-License-Identifier: Apache-2.0
# What cannot be attached to is refused by the command, with the reason, a status of its own, and nothing changed.
. "$(dirname "$0")/lib.sh" || exit 1

command -v gcc >/dev/null || skip "gcc is not installed"
echo '#include <unistd.h>
int main(void) { for (;;) pause(); }' >sleeper.c
echo '#include <sys/prctl.h>
#include <unistd.h>
int main(void) { char c; prctl(PR_SET_SECCOMP, 1); return read(0, &c, 1) < 0; }' >strict.c
mkfifo never
exec 9<>never

# refused REGEX COMMAND...: starts it, asleep, and tries
refused() {
  local wanted=$1; shift
  "$@" <&9 & target=$!
  asleep() { grep -qs '^State:.S' "/proc/$target/status" && [ "$(readlink "/proc/$target/exe")" != "$(readlink -f "$BASH")" ]; }
  wait_until 60 asleep || fail "$* does not run"
  refused_as_it_is "$wanted" "$*"
  grep -q leakwatch "/proc/$target/maps" && fail "$*: something was loaded all the same"
  kill -KILL "$target"
  wait "$target" 2>/dev/null
}
refused_as_it_is() { # REGEX WHAT
  local command
  for command in attach detach; do
    "$LEAKWATCH" $command "$target" 2>refused.stderr
    expect "status of $command for $2" "$?" 126
    expect_match "message of $command for $2" "$(cat refused.stderr)" "$1"
    expect "lines" "$(wc -l <refused.stderr)" 1
  done
  [ -z "$(ls -d leakwatch-* 2>/dev/null)" ] || fail "$2: a folder for nothing"
  expect "state of $2 after that" "$(sed -n 's/^State:.\(.\).*/\1/p' "/proc/$target/status")" S
}

for how in -static -static-pie; do
  gcc -w $how -o "sleeper$how" sleeper.c 2>/dev/null || { echo "left out: no $how here"; continue; }
  refused 'is statically linked' "./sleeper$how"
done
if command -v musl-gcc >/dev/null; then
  musl-gcc -w -o sleeper-musl sleeper.c || fail "musl-gcc"
  refused 'musl' ./sleeper-musl
else
  echo "left out: no musl-gcc (apt-get install musl-tools)"
fi
gcc -w -o sleeper sleeper.c && gcc -w -o strict strict.c || fail "gcc"
refused "seccomp's strict mode" ./strict

if command -v python3 >/dev/null; then
  ./sleeper & target=$!
  python3 - "$target" >traced <<'END' &
import ctypes, sys, time
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE = 0x4206
print("traced" if libc.ptrace(PTRACE_SEIZE, int(sys.argv[1]), None, None) == 0 else "not traced", flush=True)
time.sleep(300)
END
  watcher=$!
  wait_until 60 grep -qs traced traced || fail "no tracer"
  grep -qx traced traced || fail "it cannot be traced"
  refused_as_it_is "process $watcher traces it already" "one that is traced"
  kill "$watcher"
  wait "$watcher" 2>/dev/null
  kill -KILL "$target"
fi
exit 0
