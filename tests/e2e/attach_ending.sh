# SPDX-License-Identifier: Apache-2.0
# Programs that end while they are joined, at any moment of it: that is no error of leakwatch's, and it says what it was.
. "$(dirname "$0")/lib.sh" || exit 1

# sleeps PID: it has become sleep(1), or is gone already
sleeps() {
  [ ! -e "/proc/$1/exe" ] ||
    { [ "$(readlink "/proc/$1/exe")" != "$(readlink "/proc/$$/exe")" ] && grep -qs '^State:.S' "/proc/$1/status"; }
}

for hundredths in $(seq -w 2 2 30); do
  sleep "0.$hundredths" &
  wait_until 60 sleeps $!
  "$LEAKWATCH" attach -q -i 20ms -o "out.$hundredths" $! 2>stderr
  status=$?
  case $status in
    0) ;;
    126 | 127) expect_match "words after 0.$hundredths s" "$(cat stderr)" 'ended in the meantime|has ended|There is no process|has no glibc loaded' ;;
    *) fail "status $status after 0.$hundredths s: $(cat stderr)" ;;
  esac
done
