# SPDX-License-Identifier: Apache-2.0
# A script is followed: its interpreter is watched, and then the program that it executes in its place. What it starts
# as children is not.
. "$(dirname "$0")/lib.sh" || exit 1

cat >service <<SCRIPT
#!/bin/sh
"$TARGETS/target-errno" >/dev/null || exit 1
exec "$TARGETS/target-resize"
SCRIPT
chmod +x service
watch_exactly ./service
expect "a child of the script" "$(sums "$(last_profile)" quiet_block)" "0 0 0 0"
