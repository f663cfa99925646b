# SPDX-License-Identifier: Apache-2.0
"""redis-server under redis-benchmark, with 50 clients and a pipeline of 16: for the other parts."""

import csv
import shutil
import subprocess
import time

from harness import both_times, end_group, free_port
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


class Server:
    """redis-server, run by the command line that `wrap` makes of its own: by leakwatch, or under another tool. A
    context: it is shut down with it."""

    def __init__(self, bench, wrap):
        self._port = str(free_port())
        self._command = wrap(["redis-server", "--port", self._port, "--bind", "127.0.0.1", "--save", "",
                              "--appendonly", "no"])
        self._work = bench.work

    def __enter__(self):
        self._process = subprocess.Popen(self._command, cwd=self._work, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL, start_new_session=True)
        wait_until_up(self._port, self._process)
        self._pid = child_named(self._process.pid, "redis-server") or self._process.pid
        return self

    def __exit__(self, *_):
        subprocess.run(["redis-cli", "-p", self._port, "shutdown", "nosave"], capture_output=True, check=False)
        end_group(self._process)

    def take(self, requests):
        """So many of each command: nanoseconds of a request, and those of them that redis had a processor."""
        command = ["redis-benchmark", "-p", self._port, "-P", "16", "-n", str(requests), "-r", "100000", "-t",
                   ",".join(COMMANDS), "--csv"]
        begin = processor_ns(self._pid)
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        processor = processor_ns(self._pid) - begin
        rates = [float(row["rps"]) for row in csv.DictReader(lines)]
        return sum(1e9 / rate for rate in rates) / len(rates), processor / requests / len(COMMANDS)


def run(bench, wrap):
    """The same of a server of its own."""
    with Server(bench, wrap) as server:
        return both_times(*server.take(200_000 if bench.is_quick else 1_000_000))
