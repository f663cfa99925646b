#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Walks that are remembered are those that would be done: in a compiler, an interpreter and a server.
. "$(dirname "$0")/walks_lib.sh" || exit 1

if command -v g++ >/dev/null; then
  printf '#include <%s>\n' algorithm map regex string vector >source.cc
  watch -q --exact -- "$(g++ -print-prog-name=cc1plus)" -quiet -D_GNU_SOURCE -imultiarch "$(g++ -print-multiarch)" -O1 \
    source.cc -o assembly.s || fail "status $? of cc1plus"
  expect_agreement cc1plus 10
fi

if command -v python3 >/dev/null; then
  watch -q --exact -- python3 -c '
import json, re, threading
def work():
    text = json.dumps([{"n": i, "words": ["w%d" % (i * 7 % 97)] * 5} for i in range(5000)])
    assert len(re.findall(r"w\d+", text)) == 25000 and len(json.loads(text)) == 5000
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()' || fail "status $? of python3: $(cat out.stderr)"
  expect_agreement python3 50
fi

if command -v redis-server >/dev/null && command -v redis-benchmark >/dev/null; then
  port=$(free_port)
  in_background "$LEAKWATCH" run -q --exact -o out -- redis-server --port "$port" --save '' --appendonly no
  wait_until 30 redis-cli -p "$port" ping || fail "redis does not answer: $(cat server.log)"
  timeout 200 redis-benchmark -p "$port" -q -P 16 -n 100000 -r 5000 -t set,get,lpush,zadd >benchmark 2>&1 ||
    fail "redis-benchmark: $(cat benchmark)"
  redis-cli -p "$port" shutdown nosave
  wait "$watcher" || fail "status $? of redis: $(cat server.log)"
  expect_agreement redis 90
fi
