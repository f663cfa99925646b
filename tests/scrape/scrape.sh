# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests with scrapers share, over ../real/real.sh. Each script sources this first.

tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=../real/real.sh
. "$tests/real/real.sh" || exit 1

# example NAME: an example of the manual page, as its reader sees it; a comment in the page names it.
example() {
  awk -v mark=".\\\\\" example $1" '$0 == mark { on = 1; next } on && $0 == ".EE" { exit } on' \
    "$SOURCE_ROOT/man/leakwatch.1" | sed 's/\\-/-/g; s/\\e/\\/g' >"$1"
  [ -s "$1" ] || fail "the manual page has no example $1"
}
