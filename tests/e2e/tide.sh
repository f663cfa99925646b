# SPDX-License-Identifier: Apache-2.0
# From snapshot to snapshot alloc_* never falls, for any sample; when all is freed, nothing is left, whatever was
# sampled.
. "$(dirname "$0")/lib.sh" || exit 1

begin -q --sample-interval 4KiB -- "$TARGETS/target-tide" gate
for number in 0001 0002 0003 0004 0005; do
  sleep 0.1
  profile_now $number
done
touch gate
finish
expect "status" "$?" 0
for profile in out/heap.*; do
  "$PROFILE_DUMP" "$profile" | awk -v name="$profile" '$1 == "sample" {
    objects = $2; space = $3; $1 = $2 = $3 = $4 = $5 = ""; print name, objects, space, $0 }'
done | awk '{
    name = $1; objects = $2; space = $3; $1 = $2 = $3 = ""
    if (objects < most_objects[$0] || space < most_space[$0]) { print name, objects, space, $0; bad = 1 }
    most_objects[$0] = objects; most_space[$0] = space; seen[name]
  } END { for (name in seen) names++; exit bad || names != 6 }' || fail "alloc_* fell, or a profile is missing"
read -r objects _ inuse space < <(sums "$(last_profile)" tide)
[ "$objects" -gt 1000 ] || fail "only $objects blocks were seen"
expect "alive at the end" "$inuse $space" "0 0"
