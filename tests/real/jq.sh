#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# jq on a file of some 10 MB: the same bytes come out.
. "$(dirname "$0")/real.sh" || exit 1
need jq jq
need_pprof

awk 'BEGIN { print "["
  for (i = 0; i < 60000; i++)
    printf "%s{\"id\": %d, \"name\": \"item %d\", \"price\": %d.%02d, \"tags\": [\"a%d\", \"b\\u00e9\", null, true], \"in\": {\"deep\": {\"value\": \"%s\"}}}\n",
      i ? "," : "", i, i * 31, i % 999, i % 100, i % 17, "some text that makes it longer: " i * 7919 " and longer"
  print "]" }' >input.json
[ "$(stat -c %s input.json)" -gt 8000000 ] || fail "the file is too small: $(ls -l input.json)"
program='map(select(.id % 3 == 0) | .price += 1 | .tags |= map(select(. != null)) | .in.deep.value |= ascii_upcase) | group_by(.tags[0]) | .[]'

jq -c "$program" input.json >plain || fail "jq without us: $?"
for how in --sample-interval=64KiB --exact; do
  watch "$how" -i 500ms -- jq -c "$program" input.json
  expect "status $how" "$?" 0
  cmp plain out.stdout || fail "other output $how"
  expect_readable "$(last_profile)" out/heap.0001.pb.gz
  expect_whole_stacks "$(last_profile)"
done
expect_match "who allocates" "$(cat top)" '% +(jv_|jvp_|jq_|libjq)'

# A mistake of the user's is reported as ever.
watch -q -- jq . /nonexistent
expect "status without a file" "$?" 2
expect_match "message without a file" "$(cat out.stderr)" 'Could not open .*/nonexistent'
