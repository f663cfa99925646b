# SPDX-License-Identifier: Apache-2.0
# leakwatch is killed, or stopped, before and in a storm: the target goes on, with right results, after one wait that is
# bounded by the stale heartbeat (2 s; a minute here: a slow machine is no failure, waiting without limit is).
. "$(dirname "$0")/lib.sh" || exit 1

target_is_done() { grep -qx done out.stdout; }

for signal in KILL STOP; do
  for moment in before during; do
    rm -f gate
    begin -q --exact -- "$TARGETS/target-storm" 4 100000 gate
    if [ "$moment" = during ]; then touch gate; sleep 0.05; fi
    kill -"$signal" "$watcher"
    touch gate
    wait_until 60 target_is_done || fail "$signal $moment the storm: the target hangs: $(cat out.stdout)"
    echo "$signal $moment the storm: longest wait $(sed -n 's/^longest //p' out.stdout) ms"
    [ "$signal" = STOP ] || continue
    kill -CONT "$watcher"
    finish
    expect "status" "$?" 0
    # Unless it was over before leakwatch was stopped, the profile tells that it is blind.
    [ "$moment" = during ] || expect_match "comments" "$(comments "$(last_profile)")" 'Blind since'
  done
done
