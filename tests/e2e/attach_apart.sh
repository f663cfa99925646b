# SPDX-License-Identifier: Apache-2.0
# root attaches to services that live apart: with mounts of their own, which hide the object or the program, as another
# user who may read next to nothing, and where nothing can be written.
. "$(dirname "$0")/lib.sh" || exit 1

[ "$(id -u)" = 0 ] || skip "only root may make namespaces and other users' processes"
for tool in unshare setpriv; do command -v $tool >/dev/null || skip "$tool is not installed (apt-get install util-linux)"; done
unshare -m true 2>/dev/null || skip "no new mount namespace is permitted here"
chmod 755 "$work"
folder=$(realpath "$(dirname "$LEAKWATCH")/../preload")

# begin_apart COMMANDS [PREFIX...]: the service after these, in a mount namespace of its own
begin_apart() {
  local commands=$1; shift
  rm -f out.stdout
  round=0
  unshare -m sh -c "$commands"' && exec "$@"' sh "$@" "$TARGETS/target-asleep" >out.stdout &
  target=$!
  wait_until 60 grep -qs '^pid ' out.stdout || fail "the service does not start: $(cat out.stdout)"
}
keep() {
  kill -USR2 "$target"
  wait_until 60 grep -qsx "kept $((++round)) by $target" out.stdout || fail "no round $round: $(cat out.stdout)"
}
visit() { # FOLDER
  "$LEAKWATCH" attach -i 1h --exact -o "$1" "$target" 2>"$1.stderr" &
  watcher=$!
  wait_until 60 grep -qs '^leakwatch: watching' "$1.stderr" || fail "no session: $(cat "$1.stderr")"
  keep
  kill -INT "$watcher"
  wait "$watcher"
  expect "status of $1" "$?" 0
  expect "what $1 saw" "$(sums "$(ls "$1"/heap.*.pb.gz | tail -1)" kept_block)" "10 10000 10 10000"
  keep
}
# Folders of its own in place of those for all; /tmp may hold what is tested.
own_folders='mount -t tmpfs tmpfs /dev/shm && mount -t tmpfs tmpfs /var/tmp && mount --bind /tmp /tmp && mount -o remount,bind,ro /tmp'
# Nothing of ours is left in them.
expect_clean() {
  expect "what is left in folders" "$(ls -d "/proc/$target/root"/{var/tmp,dev/shm}/* 2>/dev/null)" ""
}
end() {
  kill -TERM "$target"
  wait "$target"
  expect "status of the service" "$?" 0
  target=
}

echo "mounts that hide the object"
begin_apart "$own_folders && mount -t tmpfs tmpfs '$folder'"
[ ! -e "/proc/$target/root$folder/libleakwatch.so" ] || fail "the object is not hidden"
visit mounts
grep -q 'libleakwatch.so' "/proc/$target/maps" || fail "the object is not loaded"
expect_clean
end

echo "a program that only it can see"
begin_apart "mount -t tmpfs tmpfs /mnt && cp '$TARGETS/target-asleep' /mnt/ && set -- /mnt/target-asleep"
visit hidden
end

echo "another user, who may read nothing of ours"
mkdir -p private/cli private/preload home
cp "$LEAKWATCH" private/cli/leakwatch
cp "$folder"/libleakwatch*.so private/preload
chmod 700 private home
chown 1234:1234 home
if setpriv --reuid=1234 --regid=1234 --clear-groups test -x "$TARGETS/target-asleep"; then
  begin_apart "$own_folders && umask 077 && cd '$work/home'" setpriv --reuid=1234 --regid=1234 --clear-groups
  real=$LEAKWATCH LEAKWATCH=$work/private/cli/leakwatch
  umask 077
  visit user
  umask 022
  LEAKWATCH=$real
  expect_clean
  end
else
  echo "left out: the build folder is not readable to others"
fi

echo "nothing can be written that may be executed"
begin_apart "cd / && for folder in / /tmp /run; do mount --bind \$folder \$folder && mount -o remount,bind,ro \$folder || exit; done; for folder in /var/tmp /dev/shm; do mount -t tmpfs -o noexec tmpfs \$folder; done; mount -t tmpfs tmpfs '$folder'; cd /"
open_files() { ls "/proc/$target/fd" | wc -l; }
files=$(open_files)
visit memory
grep -q 'memfd:libleakwatch' "/proc/$target/maps" || fail "the object is not in memory"
expect "open files of the service" "$(open_files)" "$files"
visit again
expect "open files of the service" "$(open_files)" "$files"
expect_clean
end

echo "nothing can be written"
begin_apart "cd / && for folder in / /tmp /var/tmp /dev/shm /run; do mount --bind \$folder \$folder && mount -o remount,bind,ro \$folder || exit; done; cd /"
"$LEAKWATCH" attach -o refused "$target" 2>refused.stderr
expect "status where nothing can be written" "$?" 126
expect_match "message where nothing can be written" "$(cat refused.stderr)" 'There is no folder .*Mount a tmpfs'
[ ! -e refused ] || fail "a folder for nothing"
grep -q leakwatch "/proc/$target/maps" && fail "something was loaded all the same"
end
exit 0
