#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# python3 with threads, children, an extension library opened at run time and much text: the same output as without us.
. "$(dirname "$0")/real.sh" || exit 1
python=/usr/bin/python3
need "$python" python3
need_pprof

cat >script.py <<'P'
import ctypes, json, os, re, subprocess, sys, threading, zlib, hashlib, sqlite3, decimal

def work(number, results):
    words = [f"word{number * i % 997}" for i in range(20000)]
    text = json.dumps({"words": words, "n": number})
    found = re.findall(r"word(\d)\d*7\b", text)
    packed = zlib.compress(text.encode())
    assert json.loads(zlib.decompress(packed))["n"] == number
    results[number] = (len(found), hashlib.sha256(text.encode()).hexdigest())

results = {}
threads = [threading.Thread(target=work, args=(n, results)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sorted(results.items()))

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.realloc.restype = ctypes.c_void_p
libc.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
block = libc.malloc(1000)
libc.free(libc.realloc(block, 100000))
leak = libc.malloc(7654321)

callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
numbers = (ctypes.c_int * 5000)(*[i * 7919 % 5003 for i in range(5000)])
libc.qsort(numbers, len(numbers), ctypes.sizeof(ctypes.c_int), callback(lambda a, b: a[0] - b[0]))
print(list(numbers)[:5], list(numbers)[-5:])

print(subprocess.run(["sh", "-c", "echo $LD_PRELOAD child; exit 3"], capture_output=True, text=True))
child = os.fork()
if child == 0:
    junk = [str(i) * 10 for i in range(50000)]
    os._exit(len(junk) % 251)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

database = sqlite3.connect(":memory:")
database.execute("create table t(a, b)")
database.executemany("insert into t values(?, ?)", [(i % 10, str(i)) for i in range(20000)])
print(database.execute("select a, count(*), max(b) from t group by a").fetchall())
print(decimal.Decimal(2).sqrt(), len(os.listdir("/proc/self/fd")), sorted(os.environ) == sorted(dict(os.environ)))
try:
    raise ValueError("as ever")
except ValueError as error:
    print(repr(error))
sys.exit(7)
P
"$python" script.py >plain 2>plain.stderr
expect "status without us" "$?" 7

for how in --sample-interval=512KiB --exact; do
  watch -q -i 300ms "$how" -- "$python" script.py
  expect "status $how" "$?" 7
  expect "output $how" "$(diff plain out.stdout)" ""
  expect "errors $how" "$(cat out.stderr)" "$(cat plain.stderr)"
  expect_readable "$(last_profile)" out/heap.0001.pb.gz
done
# libffi calls malloc for ctypes: its assembly has unwind tables, so the whole way up to main is there.
"$PROFILE_DUMP" "$(last_profile)" | grep -E '^sample 1 7654321 1 7654321 ' >leak
expect "the one large leak" "$(wc -l <leak)" 1
expect_match "its stack" "$(cat leak)" 'ffi_call.*;Py_BytesMain;'
expect_whole_stacks "$(last_profile)"
