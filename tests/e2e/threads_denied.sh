# SPDX-License-Identifier: Apache-2.0
# A process that closed itself to those who would look in, watched by somebody without privileges: threads are shown
# where they were made instead of where they are, and a comment says why.
. "$(dirname "$0")/threads_lib.sh" || exit 1

as_nobody=()
if [ "$(id -u)" = 0 ]; then
  command -v setpriv >/dev/null || skip "setpriv is not installed (apt-get install util-linux)"
  as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi
chmod 777 "$work"
"${as_nobody[@]}" test -x "$LEAKWATCH" -a -x "$TARGETS/target-threads-where" || skip "the build folder is not readable to all"
real=$LEAKWATCH
cat >unprivileged <<C
#!/bin/sh
exec ${as_nobody[*]} "$real" "\$@"
C
chmod 755 unprivileged
LEAKWATCH=$work/unprivileged

begin -q -- "$TARGETS/target-threads-where" closed
profile_now 0001
kill "$target"
finish
expect "status" "$?" 0
expect "broken system calls" "$(grep ^broken out.stdout)" "broken 0"
threads=out/threads.0001.pb.gz creators=out/threadcreate.0001.pb.gz
expect "threads by their creator" "$(threads_at $threads create_placed)" 5
expect "threads where they are" "$(threads_at $threads at_condition)" 0
expect "threads in all" "$("$PROFILE_DUMP" $threads | grep ^total)" "total 7"
expect "those that pthread_create made" "$(sums $creators create_placed | cut -d' ' -f1-3)" "5 5 0"
for profile in $threads $creators; do
  expect_match "why in $profile" "$(comments $profile)" 'trace|ptrace|look|permi|dump'
done
