# SPDX-License-Identifier: Apache-2.0
# The list of threads beside the profiles: a line for each, with what it was made with, what its stack costs, and the
# name that it has at that moment.
. "$(dirname "$0")/threads_lib.sh" || exit 1

says() { grep -qsx "$1" out.stdout; }
# line NUMBER TID, column NUMBER TID FIELD: of the list with the number
line() { awk -v tid="$2" '$1 == tid' "out/threads.$1.txt"; }
column() { line "$1" "$2" | awk -v field="$3" '{ print $field }'; }

begin -- "$TARGETS/target-threads-facts"
user=$(sed -n 's/^user //p' out.stdout) unjoined=$(sed -n 's/^unjoined //p' out.stdout)
profile_now 0001
kill -USR2 "$target"
wait_until 60 says renamed || fail "it did not take its second name"
profile_now 0002
for number in 0001 0002; do
  expect "lines of the thread in $number" "$(line $number "$user" | wc -l)" 1
  expect "its stack in $number" "$(column $number "$user" 4)" 4096
  expect "its guard in $number" "$(column $number "$user" 6)" 64
  resident=$(column $number "$user" 5)
  [ "$resident" -ge 1024 ] && [ "$resident" -le 4096 ] || fail "resident in $number: $resident KiB, it has used 1024"
  expect_match "where it started in $number" "$(line $number "$user")" ' uses_its_stack '
  expect_match "its age in $number" "$(column $number "$user" 3)" '^[0-9]+\.[0-9][0-9]$'
  expect "the stack of the ended one in $number" "$(column $number "$unjoined" 4)" 4096
  [ "$(column $number "$unjoined" 5)" -ge 4 ] || fail "the ended one holds nothing: $(line $number "$unjoined")"
  expect_match "where it started in $number" "$(line $number "$unjoined")" ' ended +ends_unjoined'
  expect_match "main in $number" "$(line $number "$target")" ' target-threads- +signal wait '
  maker=$(column $number "$unjoined" 8)
  expect_match "who made the ended one in $number" "$(grep -A2 "^$maker  " "out/threads.$number.txt")" ' create_unjoined .*threads_facts'
done
expect_match "the name at first" "$(line 0001 "$user")" ' first name +signal wait '
expect_match "the name later" "$(line 0002 "$user")" ' second name +signal wait '
grown=$(awk -v a="$(column 0001 "$user" 3)" -v b="$(column 0002 "$user" 3)" 'BEGIN { print (b >= a) }')
expect "the age grows" "$grown" 1
kill "$target"
finish
expect "the list at the end" "$(head -1 out/threads.0003.txt | cut -d' ' -f1-2)" "2 threads"
expect_match "the summary" "$(cat out.stderr)" \
  '^1 thread ended and never joined, holding 4.00 MiB of stack \([0-9.]+ KiB resident\), created by '
