# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL of our own, and pgbench, whose connections' processes are joined: for servers.py."""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import time

from harness import end_group, quantile
from processes import processor_ns

CLIENTS = 2
LOADS = {"pgbench -S": ["-S"], "pgbench": []}


def programs():
    """Where Debian has those of the newest version; None when it has none."""
    folders = pathlib.Path("/usr/lib/postgresql").glob("*/bin/pgbench")
    return max((path.parent for path in folders), key=lambda path: float(path.parent.name), default=None)


def log_figures(lines, begin, end):
    """Of pgbench's log of transactions: how many there were between two moments, in seconds since 1970, and the 99th
    percentile of their latency in seconds. Per transaction: client, its number, microseconds, script, and when it
    ended, as seconds and microseconds (https://www.postgresql.org/docs/current/pgbench.html)."""
    latencies = []
    for line in lines:
        words = line.split()
        if begin <= int(words[4]) + int(words[5]) / 1e6 < end:
            latencies.append(int(words[2]) / 1e6)
    if not latencies:
        raise SystemExit("bench: pgbench made no transaction")
    return len(latencies), quantile(latencies, 0.99)


class Postgres:
    """A context: it is stopped with it."""

    def __init__(self, bench):
        self._bench = bench
        self._folder = bench.work / "postgres"
        self._as_postgres = []
        if os.getuid() == 0:  # which postgres refuses to be
            self._as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        self._seconds = 1 if bench.is_quick else 3
        self._runs = 0

    @staticmethod
    def why_not(bench):
        """It cannot be measured; empty when it can."""
        if not programs():
            return "postgresql is not installed"
        if os.getuid() == 0 and not (shutil.which("setpriv") and has_user("postgres")):
            return "there is no setpriv, or no user postgres"
        return ""

    def _command(self, program, *arguments):
        return [*self._as_postgres, str(programs() / program), *map(str, arguments)]

    def __enter__(self):
        # Its user must be able to read what is opened in it.
        self._bench.work.chmod(0o755)
        self._folder.mkdir()
        for name in ("cli/leakwatch", "preload/libleakwatch.so"):
            copy = self._folder / name
            copy.parent.mkdir()
            shutil.copy(self._bench.root / "build" / name, copy)
        if os.getuid() == 0:
            shutil.chown(self._folder, "postgres")
        self._data = self._folder / "data"
        subprocess.run(self._command("initdb", "-D", self._data, "-A", "trust", "-U", "postgres", "--no-sync"),
                       check=True, stdout=subprocess.DEVNULL, cwd=self._folder)
        settings = ["listen_addresses=", "fsync=off", "autovacuum=off", "logging_collector=off", "max_wal_size=8GB"]
        options = [word for setting in settings for word in ("-c", setting)]
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(self._command("postgres", "-D", self._data, "-k", self._folder, *options),
                                             stdout=log, stderr=log, cwd=self._folder, start_new_session=True)
        try:
            self._wait_until(lambda: self._ask("select 1") == "1", "postgres does not answer")
            subprocess.run(self._pgbench("-i", "-q", "-s", "10"), check=True, capture_output=True, cwd=self._folder)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGINT)
        end_group(self._process)

    def _pgbench(self, *options):
        return self._command("pgbench", "-h", self._folder, "-U", "postgres", *options, "postgres")

    def _ask(self, query):
        command = self._command("psql", "-h", self._folder, "-U", "postgres", "-d", "postgres", "-XAtqc", query)
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=self._folder).stdout.strip()

    def _wait_until(self, condition, words):
        for _ in range(600):
            if condition():
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"bench: {words}: {(self._folder / 'log').read_text()}")

    def _backends(self):
        return self._ask("select pid from pg_stat_activity where application_name = 'pgbench'").split()

    def _join(self, mode, pid):
        """A leakwatch that watches it already."""
        exact = ["--exact"] if mode == "exact" else []
        out = self._bench.new_folder(f"{mode}: a backend of postgres")
        tool = subprocess.Popen(
            [self._folder / "cli/leakwatch", "attach", *exact, "-i", "1h", "-o", out, pid],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = []
        for line in tool.stderr:
            if "watching" in line:
                return tool
            said.append(line)
        tool.wait()
        raise SystemExit(f"bench: a backend of postgres was not joined: {''.join(said)}")

    def ask(self, mode, load):
        """Transactions a second, the 99th percentile of their latency in seconds, and the nanoseconds that the backends
        had a processor for each."""
        self._runs += 1
        command = self._pgbench("-n", "-c", CLIENTS, "-T", 300, "-l", f"--log-prefix=log.{self._runs}", *LOADS[load])
        tools = []
        nowhere = subprocess.DEVNULL
        with subprocess.Popen(command, stdout=nowhere, stderr=nowhere, cwd=self._folder) as client:
            try:
                self._wait_until(lambda: len(self._backends()) == CLIENTS, "pgbench does not connect")
                backends = self._backends()
                if mode != "native":
                    tools = [self._join(mode, pid) for pid in backends]
                time.sleep(0.3)
                begin, processor_begin = time.time(), sum(map(processor_ns, backends))
                time.sleep(self._seconds)
                end, processor = time.time(), sum(map(processor_ns, backends)) - processor_begin
            finally:
                client.send_signal(signal.SIGALRM)  # as its own clock does at its end: it still writes its log
        for tool in tools:
            tool.stderr.read()
            tool.wait()
        logs = [path.read_text() for path in self._folder.glob(f"log.{self._runs}.*")]
        count, p99 = log_figures("".join(logs).splitlines(), begin, end)
        return count / (end - begin), p99, processor / count


def has_user(name):
    try:
        return bool(pwd.getpwnam(name))
    except KeyError:
        return False
