# SPDX-License-Identifier: Apache-2.0
"""throughput and latency of nginx and PostgreSQL under load, by those without us

nginx serves a small file to wrk, over 16 connections. It is one process (master_process off), as `leakwatch run`
watches the process that it starts and not those that this one forks. Each round starts it in each mode; they are asked
in turns.

PostgreSQL (tests/bench/postgres.py) serves pgbench: two clients, once only reading (-S), once with its default
transactions. It has a process for each connection, and these are what is watched: `leakwatch attach` joins both. There
is one server for all; only answers are counted that came once both were joined.

Beside throughput and latency, which others on the machine change, there is the processor time that the program took for
a request.
"""

import re
import shutil
import statistics
import subprocess
import time
import urllib.request

from harness import end_group, free_port, median, print_table, spread
from postgres import LOADS, Postgres
from processes import child_named, processor_ns

MODES = ("native", "sampled", "exact")
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}

NGINX = """daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
  access_log off; default_type text/plain;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {folder}; }}
}}
"""


class Nginx:
    """In one of the modes. A context: it is ended with it."""

    def __init__(self, bench, mode):
        self._folder = bench.work / f"nginx.{mode}"
        self._folder.mkdir(exist_ok=True)
        port = free_port()
        self._url = f"http://127.0.0.1:{port}/small.txt"
        (self._folder / "small.txt").write_text("a small file\n" * 50)
        (self._folder / "conf").write_text(NGINX.format(folder=self._folder, port=port))
        command = ["nginx", "-c", self._folder / "conf", "-e", self._folder / "error.log"]
        self._command = bench.watched(mode, command, ["--interval", "1h"])
        self._is_watched = mode != "native"
        self.seen = []  # (requests a second, 99th percentile in seconds, processor nanoseconds of a request)

    def __enter__(self):
        self._process = subprocess.Popen(self._command, start_new_session=True)
        for _ in range(600):
            try:
                with urllib.request.urlopen(self._url, timeout=10):
                    return self
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.05)
        self.__exit__()
        raise SystemExit(f"bench: {self._command} does not answer: {(self._folder / 'error.log').read_text()}")

    def __exit__(self, *_):
        self._process.terminate()  # leakwatch passes it on
        end_group(self._process)

    def ask(self, seconds):
        pid = child_named(self._process.pid, "nginx") if self._is_watched else self._process.pid
        begin = processor_ns(pid)
        command = ["wrk", "--latency", "-t1", "-c16", f"-d{seconds}s", self._url]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rate, p99, requests = wrk_figures(text)
        self.seen.append((rate, p99, (processor_ns(pid) - begin) / requests))


def wrk_figures(text):
    """Requests a second, the 99th percentile of latency in seconds, and how many requests there were."""
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"bench: nginx did not answer well: {text}")
    number, unit = re.search(r"^ +99% +([0-9.]+)(us|ms|s|m)$", text, re.MULTILINE).groups()
    return (float(re.search(r"Requests/sec: +([0-9.]+)", text)[1]), float(number) * SECONDS[unit],
            int(re.search(r"(\d+) requests in", text)[1]))


def nginx_round(bench, number):
    order = MODES[number % 3:] + MODES[:number % 3]
    programs = {mode: Nginx(bench, mode) for mode in order}
    with programs["native"], programs["sampled"], programs["exact"]:
        for program in programs.values():
            program.ask(1)  # the first answers are not counted
            program.seen.clear()
        for _ in range(1 if bench.is_quick else 3):
            for program in programs.values():
                program.ask(1)
    return {mode: tuple(map(statistics.mean, zip(*program.seen))) for mode, program in programs.items()}


def postgres_rounds(bench, results):
    with Postgres(bench) as server:
        for number in range(bench.rounds):
            for load in LOADS:
                bench.progress(f"servers: {load}, round {number + 1} of {bench.rounds}")
                order = MODES[number % 3:] + MODES[:number % 3]
                results.setdefault(load, []).append({mode: server.ask(mode, load) for mode in order})


def ratios(rounds, mode, which):
    return [seen[mode][which] / seen["native"][which] for seen in rounds]


def rows_of(name, rounds):
    rate, p99, processor = (median([seen["native"][which] for seen in rounds]) for which in range(3))
    yield [name, "native", f"{rate:,.0f}", f"{p99 * 1e6:,.0f} us", f"{processor / 1e3:.1f} us"]
    for mode in MODES[1:]:
        yield ["", f"{mode} / native", *(spread(ratios(rounds, mode, which)) for which in range(3))]


def report(bench, name, rounds, note):
    for mode in MODES[1:]:
        processor = median(ratios(rounds, mode, 2))
        bench.report(f"{name} {mode}", ratios(rounds, mode, 0), f"processor time {processor:.3f}; {note}")
    bench.report(f"{name} sampled p99", ratios(rounds, "sampled", 1), note)


def give_up(bench, name, why):
    print(f"\nNot measured: {name}, as {why}")
    for key in ("sampled", "exact", "sampled p99"):
        bench.give_up(f"{name} {key}", why)


def measure(bench):
    results = {}
    if shutil.which("nginx") and shutil.which("wrk"):
        for number in range(bench.rounds):
            bench.progress(f"servers: nginx, round {number + 1} of {bench.rounds}")
            results.setdefault("nginx", []).append(nginx_round(bench, number))
    else:
        give_up(bench, "nginx", "nginx and wrk are not both installed")
    why_not = Postgres.why_not(bench)
    if why_not:
        for load in LOADS:
            give_up(bench, load, why_not)
    else:
        postgres_rounds(bench, results)
    print_table(
        f"Servers under load: median of the rounds (middle half of them), {bench.rounds} in all",
        ["", "", "requests a second", "99th percentile", "processor time of a request"],
        [row for name, rounds in results.items() for row in rows_of(name, rounds)])
    for name, rounds in results.items():
        report(bench, name, rounds, "one process, run" if name == "nginx" else "both backends, attach")
