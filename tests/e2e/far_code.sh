# SPDX-License-Identifier: Apache-2.0
#
# A program with executable segments far from each other, as node is: each is a mapping of its own with the build id,
# and each address lies in its mapping. Started and attached to, position-independent and not.
. "$(dirname "$0")/lib.sh" || exit 1

says() { grep -qsx "$1" out.stdout; }

# Lets the program keep ten blocks more, and end.
end_program() {
  kill -USR2 "$target"
  wait_until 60 says "kept 1" || fail "no round 1: $(cat out.stdout)"
  kill -TERM "$target"
}

check() {
  local profile=$1 program=$2 build_id main
  build_id=$(readelf -n "$program" | sed -n 's/.*Build ID: //p')
  main=$("$PROFILE_DUMP" "$profile" | grep "^mapping .*/$(basename "$program")\$")
  expect "mappings of $program" "$(cut -d' ' -f2 <<<"$main" | tr '\n' ' ')" '1 2 '
  expect "its build ids" "$(cut -d' ' -f6 <<<"$main" | uniq)" "$build_id"
  expect "offsets into it" "$(cut -d' ' -f5 <<<"$main" | tr '\n' ' ')" "$(code_offsets "$program")"
}
code_offsets() { readelf -lW "$1" | awk '$1 == "LOAD" && / R E / { sub(/^0x0*/, "0x", $2); printf "%s ", $2 }'; }
# pprof reads the program itself here, and so goes by the mappings.
go_finds() {
  command -v go >/dev/null || return 0
  local listing
  listing=$(PPROF_TMPDIR=$work go tool pprof -disasm keep_ten "$2" "$1" 2>&1)
  expect_match "disassembly of $1" "$listing" 'CALL kept_block|CALL 0x'
}

for kind in pie no-pie; do
  program=$TARGETS/target-keeper-far-$kind
  begin -q --exact -- "$program"
  end_program
  finish || fail "status $? of the $kind program"
  expect "blocks of the $kind program" "$(sums "$(last_profile)" kept_block)" '20 20000 20 20000'
  check "$(last_profile)" "$program"
  go_finds "$(last_profile)" "$program"

  rm -rf out out.stdout
  "$program" >out.stdout &
  target=$!
  wait_until 60 says ready || fail "the target is not ready"
  "$LEAKWATCH" attach --exact -o out "$target" 2>out.stderr &
  watcher=$!
  wait_until 60 grep -qs 'memfd:leakwatch' "/proc/$target/maps" || fail "no session: $(cat out.stderr)"
  end_program
  finish || fail "status $? of leakwatch attach: $(cat out.stderr)"
  expect "blocks since attached" "$(sums "$(last_profile)" kept_block)" '10 10000 10 10000'
  check "$(last_profile)" "$program"
  go_finds "$(last_profile)" "$program"
  check "$(ls out/threadcreate.*.pb.gz | tail -1)" "$program"
done
