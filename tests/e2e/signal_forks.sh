# SPDX-License-Identifier: Apache-2.0
# Children that a signal handler makes inside of an interrupted hook, and that go on there: they end well, and the parent
# stays exact.
. "$(dirname "$0")/attach_lib.sh" || exit 1

for how in alone threads; do
  echo "$how"
  watch_exactly "$TARGETS/target-signal-forks" "$how"
  watch -q --sample-interval 256 -- "$TARGETS/target-signal-forks" "$how"
  expect "status when sampled" "$?" 0
  listen_well --exact "$TARGETS/target-signal-forks" "$how" "$object"
  expect_truth "$(last_profile)" out.stdout
done
