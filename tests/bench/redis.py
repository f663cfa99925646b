# SPDX-License-Identifier: Apache-2.0
"""redis-server under redis-benchmark, with 50 clients and a pipeline of 16: for the other parts."""

import csv
import shutil
import subprocess
import time

from harness import end_group, free_port
from processes import child_named, processor_ns

COMMANDS = ("set", "get", "lpush", "hset")


def why_not():
    """It cannot be measured; empty when it can."""
    has_both = shutil.which("redis-server") and shutil.which("redis-benchmark")
    return "" if has_both else "redis-server and redis-benchmark are not both installed"


def wait_until_up(port, process):
    for _ in range(600):
        ping = subprocess.run(["redis-cli", "-p", port, "ping"], capture_output=True, text=True, check=False)
        if ping.stdout.strip() == "PONG":
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit(f"bench: redis-server does not answer on port {port}")


def run(bench, wrap):
    """Nanoseconds of a request, and those of them that redis had a processor. `wrap` makes of a command line the one
    that is run: by leakwatch, or under another tool."""
    port = str(free_port())
    server = wrap(["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
    requests = 200_000 if bench.is_quick else 1_000_000  # of each command
    command = ["redis-benchmark", "-p", port, "-P", "16", "-n", str(requests), "-r", "100000", "-t", ",".join(COMMANDS),
               "--csv"]
    process = subprocess.Popen(server, cwd=bench.work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)
    try:
        wait_until_up(port, process)
        pid = child_named(process.pid, "redis-server") or process.pid
        begin = processor_ns(pid)
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        processor = processor_ns(pid) - begin
    finally:
        subprocess.run(["redis-cli", "-p", port, "shutdown", "nosave"], capture_output=True, check=False)
        end_group(process)
    rates = [float(row["rps"]) for row in csv.DictReader(lines)]
    return {"": sum(1e9 / rate for rate in rates) / len(rates), ", processor": processor / requests / len(COMMANDS)}
