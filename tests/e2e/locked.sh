# SPDX-License-Identifier: Apache-2.0
# What we reserve is address space, and stays that when the program locks its memory.
. "$(dirname "$0")/lib.sh" || exit 1

[ "$(ulimit -l)" = unlimited ] || [ "$(id -u)" -eq 0 ] || skip "locking memory needs a higher ulimit -l"
resident() { sed -n 's/^resident //p' "$1"; }
"$TARGETS/target-locked" >plain
for mode in --exact --sample-interval=512KiB; do
  watch -q $mode -- "$TARGETS/target-locked"
  expect "status" "$?" 0
  echo "$mode: $(resident out.stdout) KiB, alone $(resident plain) KiB"
  [ "$(resident out.stdout)" -lt $(($(resident plain) + 65536)) ] || fail "more than 64 MiB of ours became resident"
done
