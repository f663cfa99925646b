#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A web server in Python, with a thread for each connection, is joined under wrk. No request fails, and the blocks that
# a request keeps are found.
. "$(dirname "$0")/attach_lib.sh" || exit 1
python=/usr/bin/python3
need "$python" python3
need wrk wrk
need curl curl

cat >server.py <<'P'
import ctypes, http.server, json, signal, sys, threading

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
kept = []

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/keep":
            kept.append(libc.malloc(1234567))
        answer = json.dumps({"kept": len(kept), "words": [f"word{i % 97}" for i in range(300)]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *request):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # the load ends in the middle of its requests
            super().handle_error(*request)

server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
print(len(kept), "kept")
P
port=$(free_port) || exit 1
get() { curl -s --max-time 10 "http://127.0.0.1:$port/$1"; }
is_up() { get hello | grep -q word96; }
"$python" server.py "$port" >server.log 2>&1 &
target=$!
wait_until 30 is_up || fail "the server does not answer: $(cat server.log)"

watch_kept_blocks hello

profile=$(last_of watched--exact)
expect "what was kept" "$("$PROFILE_DUMP" "$profile" | awk '$1 == "sample" && $5 >= 1234567 { print $2, $3, $4, $5 }')" \
  "4 4938268 4 4938268"
expect_match "where" "$("$PROFILE_DUMP" "$profile" | grep '^sample 4 4938268 ')" \
  ';ffi_call;.*;(start_thread|libc\.so\.6\+0x[0-9a-f]+)(;|$)'  # a libc without its symbol table has no such name
