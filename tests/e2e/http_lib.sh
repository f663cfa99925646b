# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of the HTTP service share, over threads_lib.sh.

# shellcheck source=threads_lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/threads_lib.sh" || exit 1

# serve [OPTIONS] -- COMMAND...: as begin, with a server on a free port. Sets $url, without a slash at its end.
serve() {
  begin --http 127.0.0.1:0 "$@"
  url=$(sed -n 's|^leakwatch: serving \(http://[^/]*\)/$|\1|p' out.stderr)
  [ -n "$url" ] || fail "no address: $(cat out.stderr)"
}

# get PATH [CURL_OPTION...]: the body goes to standard output, the headers to the file headers; a status other than 200
# fails the test.
get() {
  local path=$1 status; shift
  status=$(curl -sS --max-time 120 -D headers -o body -w '%{http_code}' "$@" "$url$path") || fail "no answer to $path"
  expect "status of $path ($(head -c 200 body | tr -d '\0'))" "$status" 200
  cat body
}

# status PATH [CURL_OPTION...]: the status alone; the body goes to the file body.
status() { curl -sS --max-time 120 -o body -w '%{http_code}' "${@:2}" "$url$1"; }
