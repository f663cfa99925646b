# SPDX-License-Identifier: Apache-2.0
#
# What `meson install` leaves behind works, and goes on working when it is moved elsewhere: the program finds the object
# that it injects, and man finds the page.
#
# install_test.sh MESON BUILD_FOLDER PREFIX

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
meson=$1 build=$2 prefix=$3

# watches FOLDER: the leakwatch installed in FOLDER sees what ls allocates
watches() {
  LEAKWATCH=$1/bin/leakwatch
  watch --exact -- /bin/ls / || fail "$LEAKWATCH run: status $?: $(cat out.stderr)"
  [ -s "$(last_profile)" ] || fail "$LEAKWATCH wrote no profile: $(cat out.stderr)"
  expect_match "what ls allocated" "$(totals "$(last_profile)")" '^[1-9][0-9]* [1-9]'
}

"$meson" install -C "$build" --no-rebuild --destdir "$work/first" >install.log 2>&1 ||
  fail "meson install: $(tail install.log)"
watches "$work/first$prefix"
expect "the version" "$("$LEAKWATCH" --version | cut -d ' ' -f 1)" leakwatch
[ -s "$work/first$prefix/share/man/man1/leakwatch.1" ] || fail "there is no manual page"

mv "$work/first$prefix" "$work/moved"
watches "$work/moved"
