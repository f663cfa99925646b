#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Two runs of one program lie at other addresses. When they did the same work they subtract to nothing, and a leak more
# in one of them is all that is left.
. "$(dirname "$0")/real.sh" || exit 1
need gcc gcc
need_pprof
[ "$(cat /proc/sys/kernel/randomize_va_space)" != 0 ] || skip "address randomisation is off (kernel.randomize_va_space)"

cat >program.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static void* keep[4000];
__attribute__((noinline)) void* node(size_t size) { char* p = malloc(size); memset(p, 1, size); return p; }
__attribute__((noinline)) void* list(int n) { void* p = node(64 + n % 7 * 1000); __asm__ volatile("" ::: "memory"); return p; }
__attribute__((noinline)) void* tree(int n) { void* p = n % 5 ? list(n) : node(5000); __asm__ volatile("" ::: "memory"); return p; }
__attribute__((noinline)) void work(void) {
  for (int round = 0; round < 5; round++)
    for (int i = 0; i < 4000; i++) { free(keep[i]); keep[i] = i % 3 ? tree(i) : list(i); }
  for (int i = 0; i < 4000; i += 2) { free(keep[i]); keep[i] = 0; }
}
__attribute__((noinline)) void one_leak_more(void) {
  for (int i = 0; i < 64; i++) keep[i * 2] = strdup(""), keep[i * 2] = realloc(keep[i * 2], 1 << 20);
}
int main(int argc, char** argv) {
  work();
  if (argc > 1) one_leak_more();
  printf("%p\n", (void*)main);
}
C
gcc -g -O1 -fPIE -pie program.c -o program || fail "gcc: $?"

# run NAME [OPTIONS] -- [leak]: its last profile as NAME.pb.gz
run() {
  local name=$1 options=(); shift
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  watch -q "${options[@]}" -- ./program "$@"
  expect "status of $name" "$?" 0
  cp "$(last_profile)" "$name.pb.gz"
  cat out.stdout >"$name.address"
}
# left INDEX BASE PROFILE: the functions that are not nothing, all of them, and their flat values
left() {
  pprof -top -nodefraction=0 -edgefraction=0 -nodecount=1000 -unit=B -sample_index="$1" -base "$2.pb.gz" "$3.pb.gz" >top || exit 1
  awk 'seen && ($1 + 0 || $4 + 0) { print $1, $NF } /flat%/ { seen = 1 }' top
}

for options in "--exact" "--sample-interval 64KiB --seed 12345" "--seed 42"; do
  # shellcheck disable=SC2086
  { run one $options -- && run two $options -- && run leaky $options -- leak; }
  [ "$(cat one.address)" != "$(cat two.address)" ] || fail "both runs lie at $(cat one.address)"
  [ "$(samples one.pb.gz | wc -l)" -gt 2 ] || fail "hardly a sample with $options: $(samples one.pb.gz)"
  expect "samples with $options" "$(diff <(samples one.pb.gz) <(samples two.pb.gz))" ""
  for index in inuse_space inuse_objects alloc_space alloc_objects; do
    expect "what is left of $index with $options" "$(left $index one two)" ""
  done
  # Every sample has met its twin: the raw difference has none whose values are not zero.
  pprof -raw -base one.pb.gz two.pb.gz >raw || exit 1
  expect "raw difference with $options" "$(awk '/^Samples:/ { on = 1 } /^Locations/ { on = 0 } on && / *-?[0-9]+ .*: / && /[1-9].*:/' raw)" ""

  left inuse_space one leaky >more || exit 1
  expect "functions that leak with $options" "$(awk '$1 + 0 { print $2 }' more)" one_leak_more
  leaked=$(awk '{ print $1 + 0; exit }' more)
  [ "$leaked" -gt 60000000 ] && [ "$leaked" -lt 80000000 ] || fail "leaked with $options: $(cat more)"
  [[ "$options" != --exact ]] || expect "leaked" "$leaked" $((64 << 20))
done
