# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of threads share, over lib.sh, whose sums serve for threadcreate profiles: created, running, ended but
# never joined, bytes of stack.

tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=lib.sh
. "$tests/e2e/lib.sh" || exit 1

# For profile_now: of the three this one is written last.
profile_exists() { [ -e "out/threadcreate.$1.pb.gz" ]; }

# The newest profiles of the last watch: of where threads are, and of who made them.
last_threads() { ls out/threads.*.pb.gz 2>/dev/null | tail -1; }
last_creators() { ls out/threadcreate.*.pb.gz 2>/dev/null | tail -1; }

# threads_at PROFILE FUNCTION: how many threads have FUNCTION in their stack
threads_at() {
  "$PROFILE_DUMP" "$1" | awk -v frame="$2" '
    $1 == "sample" { stack = $0; for (i = 0; i < 3; i++) sub(/^[^ ]* /, "", stack)
                     if (index(";" stack ";", ";" frame ";")) sum += $2 }
    END { print sum + 0 }'
}

# creators PROFILE: every creating stack with what is counted there, in an order that does not change
creators() { "$PROFILE_DUMP" "$1" | sed -n 's/^sample //p' | sort; }

need_pprof() { go tool -n pprof >/dev/null 2>&1 || skip "go tool pprof is not installed (https://go.dev/dl)"; }

# pprof ARGUMENT...: go tool pprof must be content and silent, but for saying what it fetched; prints its report
pprof() {
  PPROF_TMPDIR=$work go tool pprof "$@" >pprof.stdout 2>pprof.stderr || fail "go tool pprof $*: $(cat pprof.stderr)"
  expect "warnings of go tool pprof $*" "$(grep -vE '^(Fetching profile over HTTP from|Saved profile in) ' pprof.stderr)" ""
  cat pprof.stdout
}
