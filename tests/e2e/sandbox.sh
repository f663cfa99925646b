# SPDX-License-Identifier: Apache-2.0
# A program that closes descriptors, drops its user, changes root or forbids system calls is watched as before.
. "$(dirname "$0")/lib.sh" || exit 1

hows=(close-range)
[ "$(id -u)" -ne 0 ] || hows+=(setuid "chroot $work")
hows+=(seccomp)
for how in "${hows[@]}"; do
  echo "$how"
  # shellcheck disable=SC2086
  watch_exactly "$TARGETS/target-sandbox" $how
done
