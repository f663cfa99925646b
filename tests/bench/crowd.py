# SPDX-License-Identifier: Apache-2.0
"""memory of ours after a hundred thousand, and a million, short threads

The goal: it does not grow with the number of threads that came and went.
"""

import subprocess
import time

from harness import print_table, value_of
from processes import child_named


def peak_kib(pid):
    """Of what was resident; 0 when the process is gone."""
    try:
        return int(value_of(f"/proc/{pid}/status", "VmHWM").split()[0])
    except (OSError, ValueError):
        return 0


def peaks(bench, threads):
    command = bench.watched("sampled", [bench.program("threads"), 8, threads])
    ours = theirs = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            ours = max(ours, peak_kib(process.pid))
            theirs = max(theirs, peak_kib(child_named(process.pid, "threads")))
            time.sleep(0.005)
    if process.returncode != 0:
        raise SystemExit(f"bench: {command} ended with {process.returncode}")
    return ours, theirs


def native_peak(bench, threads):
    with subprocess.Popen([bench.program("threads"), "8", str(threads)], stdout=subprocess.DEVNULL) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, peak_kib(process.pid))
            time.sleep(0.005)
    return peak


def measure(bench):
    rows = []
    for threads in (10_000, 100_000) if bench.is_quick else (100_000, 1_000_000):
        bench.progress(f"crowd: {threads:,} threads")
        ours, theirs = peaks(bench, threads)
        rows.append([f"{threads:,}", ours, theirs, native_peak(bench, threads)])
    print_table("Peak resident memory in KiB, what both share counted twice, of 8 makers that create and join",
                ["threads", "leakwatch", "the program", "the program, native"], rows)
