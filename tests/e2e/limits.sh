# SPDX-License-Identifier: Apache-2.0
# Limits that the user set for the program are the program's, and leakwatch itself does its work under them.
. "$(dirname "$0")/lib.sh" || exit 1

# What a small stack must hold besides.
for name in $(compgen -e); do
  case $name in PATH | LD_LIBRARY_PATH | LEAKWATCH | PROFILE_DUMP | SOURCE_ROOT | TARGETS) ;; *) unset "$name" ;; esac
done

libraries=("$TARGETS"/libtarget-twin-{first,second}.so)
ulimit -Sn 18
watch -q --exact -- "$TARGETS/target-reload" "${libraries[@]}" 20
expect "status with few descriptors" "$?" 0
expect_truth "$(last_profile)" out.stdout
watch -q -- bash -c 'ulimit -Sn; ulimit -Hn'
expect "the program's own limits on descriptors" "$(cat out.stdout)" "$(ulimit -Sn; ulimit -Hn)"
ulimit -Sn "$(ulimit -Hn)"

ulimit -Ss 64
watch -q --exact -- "$TARGETS/target-reload" "${libraries[@]}" 20
expect "status with a small stack" "$?" 0
expect_truth "$(last_profile)" out.stdout

# Our threads' stacks may not eat up a limit on the address space.
ulimit -v 400000
watch -q --http 127.0.0.1:0 -- sleep 0.1
[ -e "$(last_profile)" ] || fail "no profile with little address space: $(cat out.stderr)"
