# SPDX-License-Identifier: Apache-2.0
# Libraries that come and go while the program is attached to.
. "$(dirname "$0")/attach_lib.sh" || exit 1

cp "$TARGETS/libtarget-twin-first.so" stays.so
listen_well --exact "$TARGETS/target-attach-modules" "$object" "$TARGETS"/libtarget-twin-{first,second}.so "$work/stays.so" 200
expect_truth "$(last_profile)" out.stdout
