# SPDX-License-Identifier: Apache-2.0
# The exit status is the program's own; what cannot be done is said, and nothing is started.
. "$(dirname "$0")/lib.sh" || exit 1

# refused STATUS PATTERN ARG...
refused() {
  local status=$1 pattern=$2; shift 2
  "$LEAKWATCH" "$@" >out.stdout 2>out.stderr
  expect "status of leakwatch $*" "$?" "$status"
  expect_match "message of leakwatch $*" "$(cat out.stderr)" "$pattern"
}

for status in 0 1 42 125 255; do
  watch -q -- sh -c "exit $status"
  expect "status" "$?" $status
done
for signal in KILL:137 SEGV:139 TERM:143 ABRT:134; do
  watch -q -- sh -c "kill -${signal%:*} \$\$"
  expect "status after SIG${signal%:*}" "$?" "${signal#*:}"
done
refused 125 'no-such-flag' run --no-such-flag -- true
refused 125 'is not a time' run --interval soon -- true
refused 125 'is not a size' run --sample-interval much -- true
refused 125 'max-depth' run --max-depth 0 -- true
refused 125 'COMMAND' run
refused 125 . nonsense
refused 127 no-such-program run -- no-such-program
refused 126 /etc/passwd run -- /etc/passwd
refused 125 '/dev/null/deep' run -o /dev/null/deep -- touch started
[ ! -e started ] || fail "the program was started although there is no folder for the profiles"
watch -q -- true
refused 125 'already holds profiles' run -o out -- true
"$LEAKWATCH" run -q -o a/b/c -- true && [ -e a/b/c/heap.0001.pb.gz ] || fail "folders above the output are not made"
