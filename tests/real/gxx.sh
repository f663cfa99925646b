#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# g++ compiles a file to the same bytes: the driver, whose children are not watched, and the compiler proper, which
# allocates millions of blocks.
. "$(dirname "$0")/real.sh" || exit 1
need g++ g++
need_pprof

cat >source.cc <<'C'
#include <algorithm>
#include <map>
#include <string>
#include <vector>
template <int N> struct Chain { std::map<int, std::string> part; Chain<N - 1> rest; };
template <> struct Chain<0> {};
int use(std::vector<std::string>& words) {
  Chain<20> chain;
  chain.part[1] = "one";
  std::sort(words.begin(), words.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
  return static_cast<int>(chain.part.size() + words.size());
}
C
flags=(-std=c++20 -O1 -g -frandom-seed=1)
compile=("$(command -v g++)" "${flags[@]}" -c source.cc -o object.o)
cc1plus=("$(g++ -print-prog-name=cc1plus)" -quiet -D_GNU_SOURCE -imultiarch "$(g++ -print-multiarch)" "${flags[@]}" source.cc -o assembly.s)

"${compile[@]}" || fail "g++ without us: $?"
mv object.o plain.o
"${cc1plus[@]}" || fail "cc1plus without us: $?"
mv assembly.s plain.s

for how in --sample-interval=512KiB --exact; do
  watch "$how" -- "${compile[@]}"
  expect "status of g++ $how" "$?" 0
  cmp plain.o object.o || fail "other object code $how"
  expect_readable "$(last_profile)"

  watch "$how" -i 1s -- "${cc1plus[@]}"
  expect "status of cc1plus $how" "$?" 0
  cmp plain.s assembly.s || fail "other assembly $how"
  expect_readable "$(last_profile)" out/heap.0001.pb.gz
  expect_whole_stacks "$(last_profile)"
  rm object.o assembly.s
done
expect_match "who allocates" "$(pprof -top -cum -sample_index=alloc_space "$(last_profile)")" '% +(main|toplev.*|cc1plus\+.*)$'

echo 'int broken( {' >broken.cc
g++ -c broken.cc 2>plain.stderr
expect "status of g++ on an error" "$?" 1
watch -q -- g++ -c broken.cc
expect "status of g++ on an error under watch" "$?" 1
expect "what g++ says" "$(cat out.stderr)" "$(cat plain.stderr)"
