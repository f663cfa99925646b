# SPDX-License-Identifier: Apache-2.0
# Every thread draws its own luck: 3000 short threads that do the same are seen in proportion, whatever the seed. Here
# about 375 blocks are sampled, so that one standard error is 5 %.
. "$(dirname "$0")/lib.sh" || exit 1

for seed in 1 2 3; do
  watch -q --seed $seed -- "$TARGETS/target-brief" 3000
  expect "status" "$?" 0
  read -r objects _ inuse _ < <(sums "$(last_profile)" brief_block)
  echo "seed $seed: $objects of 192000"
  [ "$objects" -gt 144000 ] && [ "$objects" -lt 240000 ] || fail "seed $seed: $objects objects, the truth is 192000"
  expect "alive" "$inuse" 0
done
