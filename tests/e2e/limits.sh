# SPDX-License-Identifier: Apache-2.0
# Limits that the user set for the program are the program's, and leakwatch itself does its work under them.
. "$(dirname "$0")/lib.sh" || exit 1

libraries=("$TARGETS"/libtarget-twin-{first,second}.so)
ulimit -Sn 18
watch -q --exact -- "$TARGETS/target-reload" "${libraries[@]}" 20
expect "status with few descriptors" "$?" 0
expect_truth "$(last_profile)" out.stdout
watch -q -- bash -c 'ulimit -Sn'
expect "the program's own limit on descriptors" "$(cat out.stdout)" 18
ulimit -Sn "$(ulimit -Hn)"

ulimit -Ss 64
watch -q --exact -- "$TARGETS/target-reload" "${libraries[@]}" 20
expect "status with a small stack" "$?" 0
expect_truth "$(last_profile)" out.stdout
