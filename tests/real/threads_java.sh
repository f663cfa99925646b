#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runtimes that make threads of their own, stop them with signals and look at their own stacks: Java and node under
# watch say what they say without, and their threads are found with the names that they gave them. One that is not
# installed is left out.
. "$(dirname "$0")/real.sh" || exit 1
need_pprof
seen=0

cat >Pool.java <<'J'
import java.util.concurrent.*;

public class Pool {
  public static void main(String[] arguments) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(4, task -> new Thread(task, "request-worker"));
    long sum = 0;
    for (int round = 0; round < 50; ++round) {
      Future<Long>[] results = new Future[8];
      for (int i = 0; i < 8; ++i) {
        final long n = i + round;
        results[i] = pool.submit(() -> { byte[][] garbage = new byte[64][]; for (int k = 0; k < 64; ++k) garbage[k] = new byte[65536]; return n + garbage.length; });
      }
      for (Future<Long> result : results) sum += result.get();
      if (round % 10 == 0) System.gc();
    }
    System.out.println("sum " + sum);
    if (arguments.length > 0) System.in.read();
    pool.shutdown();
  }
}
J
if command -v java >/dev/null && java -version >/dev/null 2>&1; then
  if command -v javac >/dev/null && javac -nowarn Pool.java >/dev/null 2>&1; then
    seen=1
    java -Xmx128m -cp . Pool >plain 2>&1
    expect "java without us" "$?" 0
    watch -q -i 200ms -- java -Xmx128m -cp . Pool
    expect "java" "$?" 0
    expect "what java said" "$(diff plain out.stdout)" ""
    mkfifo line && exec 9<>line
    rm -rf out out.stdout
    "$LEAKWATCH" run -q -o out -- java -Xmx128m -cp . Pool stay <line >out.stdout 2>out.stderr &
    watcher=$!
    wait_until 100 grep -qs '^sum' out.stdout || fail "java does not answer: $(cat out.stdout out.stderr)"
    profile_now 0001
    echo >&9
    wait "$watcher"
    expect "java that was looked at" "$?" 0
    expect "java's threads by their name" "$(threads_named out/threads.0001.pb.gz request-worker)" 4
    expect_match "threads that java created" "$("$PROFILE_DUMP" out/threadcreate.0001.pb.gz | grep ^total)" '^total [1-9][0-9]+ '
    expect "unjoined in java" "$("$PROFILE_DUMP" out/threadcreate.0001.pb.gz | awk '$1 == "total" { print $4 }')" 0
  fi
fi
if command -v node >/dev/null; then
  seen=1
  cat >pool.js <<'J'
const { Worker, isMainThread, parentPort } = require('worker_threads');
const crypto = require('crypto');
if (isMainThread) {
  let left = 6, sum = 0;
  const done = () => { if (--left === 0) console.log('sum ' + sum); };
  for (let i = 0; i < 2; ++i) new Worker(__filename).on('message', n => { sum += n; }).on('exit', done);
  for (let i = 0; i < 4; ++i) crypto.pbkdf2('a', 'b', 50000, 32, 'sha512', (e, key) => { sum += key[0]; done(); });
} else {
  let kept = []; for (let i = 0; i < 200000; ++i) kept.push({ i });
  parentPort.postMessage(kept.length);
}
J
  node pool.js >plain 2>&1
  expect "node without us" "$?" 0
  watch -q -i 100ms -- node pool.js
  expect "node" "$?" 0
  expect "what node said" "$(diff plain out.stdout)" ""
  expect_match "threads that node created" "$("$PROFILE_DUMP" out/threadcreate.0001.pb.gz | grep ^total)" '^total [1-9]'
fi
[ "$seen" = 1 ] || skip "neither a JDK nor node is installed (apt-get install default-jdk-headless nodejs)"
