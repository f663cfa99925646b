# SPDX-License-Identifier: Apache-2.0
# errno stays the program's, in both modes.
. "$(dirname "$0")/lib.sh" || exit 1

watch_exactly "$TARGETS/target-errno"
watch -q --sample-interval 1KiB -- "$TARGETS/target-errno"
expect "status when sampled" "$?" 0
