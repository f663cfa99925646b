# SPDX-License-Identifier: Apache-2.0
# Sampled figures are unbiased: over 40 seeds the mean of each site's estimate is within 4 standard errors of the truth.
# The errors are those of theory: blocks of s bytes are sampled independently with p = 1 - e^(-s/R). The seeds are
# fixed, and so is the result. The same seed gives the same profile.
. "$(dirname "$0")/lib.sh" || exit 1

interval=65536 seeds=40
for seed in $(seq 1 $seeds); do
  watch -q --sample-interval $interval --seed "$seed" -- "$TARGETS/target-mixture"
  expect "status" "$?" 0
  while read -r _ site bytes count; do
    echo "$site $bytes $count $(sums "$(last_profile)" "$site")"
  done <out.stdout >>estimates
  [ "$seed" -gt 1 ] || samples "$(last_profile)" >first
done
awk -v R=$interval -v seeds=$seeds '
  { bytes[$1] = $2; count[$1] = $3; objects[$1] += $4 / seeds; space[$1] += $5 / seeds; alive[$1] += $6 / seeds }
  function check(what, site, got, wanted, error) {
    printf "%s of %s: %.1f, truth %.1f, %.2f standard errors\n", what, site, got, wanted, (got - wanted) / error
    if (got - wanted > 4 * error || wanted - got > 4 * error) bad = 1
  }
  END {
    for (site in bytes) {
      p = 1 - exp(-bytes[site] / R)
      error = sqrt(count[site] * (1 - p) / p / seeds) + 0.25  # and what rounding to whole objects may do
      check("alloc_objects", site, objects[site], count[site], error)
      check("alloc_space", site, space[site], count[site] * bytes[site], error * bytes[site])
      check("inuse_objects", site, alive[site], int(count[site] / 2), error)
      sites++
    }
    exit bad || sites != 6
  }' estimates || fail "an estimate is off"
watch -q --sample-interval $interval --seed 1 -- "$TARGETS/target-mixture"
expect "seed 1, once more" "$(samples "$(last_profile)")" "$(cat first)"
