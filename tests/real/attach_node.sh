#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A web server in Node.js, which has compiled code of its own on its stacks and helpers that run beside it, is joined
# under wrk. No request fails, and the buffers that a request keeps are found.
. "$(dirname "$0")/attach_lib.sh" || exit 1
need node nodejs
need wrk wrk
need curl curl

cat >server.js <<'J'
const http = require('http'), zlib = require('zlib'), crypto = require('crypto');
const kept = [];
const text = Array.from({length: 2000}, (_, i) => `word${i % 97}`).join(' ');
const server = http.createServer((request, response) => {
  if (request.url === '/keep') kept.push(Buffer.allocUnsafeSlow(1234567).fill(1));
  if (request.url !== '/zip') return response.end(JSON.stringify({kept: kept.length, some: text.slice(0, 500)}));
  crypto.pbkdf2('secret', 'salt', 10, 32, 'sha256', () => zlib.gzip(text, (_, packed) => response.end(packed)));
});
server.listen(Number(process.argv[2]), '127.0.0.1');
process.on('SIGTERM', () => { console.log(kept.length, 'kept'); process.exit(0); });
J
port=$(free_port) || exit 1
get() { curl -s --max-time 10 "http://127.0.0.1:$port/$1"; }
is_up() { get hello | grep -q "word9 "; }
node server.js "$port" >server.log 2>&1 &
target=$!
wait_until 30 is_up || fail "the server does not answer: $(cat server.log)"

watch_kept_blocks zip
expect_match "what was kept" "$(samples "$(last_of watched--exact)")" \
  '^sample 4 4938268 4 4938268 [0-9]+ .*node::(Buffer|NodeArrayBufferAllocator)::'
