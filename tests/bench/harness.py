# SPDX-License-Identifier: Apache-2.0
"""What the parts of scripts/bench share: running a program with and without us, medians, tables."""

import contextlib
import datetime
import itertools
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

# Asleep: with our object preloaded, and no leakwatch.
MODES = ("native", "asleep", "sampled", "exact")
FORWARDED = "forwarded"  # two more modes, of some loads
HEAPTRACK = "heaptrack"
HEAPTRACK_PRELOAD = pathlib.Path("/usr/lib/heaptrack/libheaptrack_preload.so")

LOST = re.compile("unrecorded|stack table full|made no sense|Blind since")  # in a profile's comments


def shorten(word):
    return pathlib.Path(word).name if word.startswith("/") else word


def quantile(values, part):
    """Of a list that need not be sorted; `part` is from 0 to 1."""
    return sorted(values)[round((len(values) - 1) * part)]


def both_times(wall, processor):
    """Of a load, by the kind of time, as it is added to the load's name in tables."""
    return {"": wall, ", processor": processor}


def median(values):
    return quantile(values, 0.5)


def spread(values):
    """The median and the middle half, as a cell."""
    return f"{median(values):.3f} ({quantile(values, 0.25):.3f} to {quantile(values, 0.75):.3f})"


def end_group(process):
    """Waits for one that was told to end; it, or what it left behind, is killed when it does not. It is the leader of a
    process group of its own."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(60)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def print_table(title, head, rows, left=()):
    """Columns as wide as what is in them; the first one, and those with the numbers in `left`, to the left."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    print(f"\n{title}")
    for row in [head, *rows]:
        cells = [cell.ljust(width) if column in (0, *left) else cell.rjust(width)
                 for column, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())
    sys.stdout.flush()


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def value_of(path, key, separator=":"):
    for line in pathlib.Path(path).read_text().splitlines():
        name, _, value = line.partition(separator)
        if name.strip() == key:
            return value.strip().strip('"')
    return "unknown"


class Bench:
    """Where things are, and how often they are run. A context: what it wrote is removed in the end."""

    def __init__(self, root, is_quick, rounds):
        self.root = root
        self.is_quick = is_quick
        self.rounds = rounds
        self.leakwatch = root / "build" / "cli" / "leakwatch"
        self.charts = root / "build" / "bench"
        self.figures = {}  # a target's key -> (a figure of each round, what to say beside it)
        self.reasons = {}  # a target's key -> why there is no figure
        self.machine = ""
        self.failures = {}  # a part -> why it ended early
        self._watched = []  # (folder of profiles, what was watched)
        self.remarks = {}  # a target's key -> what others reached
        self._folders = itertools.count()

    def report(self, key, values, note=""):
        """Hands in what was measured for a target of targets.py: one figure, or one of each round."""
        self.figures[key] = (list(values) if isinstance(values, (list, tuple)) else [values], note)

    def give_up(self, key, why):
        """There is no figure for this target."""
        self.reasons[key] = why

    def remark(self, key, words):
        """What others reach where this target is ours."""
        self.remarks[key] = words

    def __enter__(self):
        self.work = pathlib.Path(tempfile.mkdtemp())
        self.charts.mkdir(exist_ok=True)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.work, ignore_errors=True)

    def program(self, name):
        return self.root / "build" / "tests" / "bench" / name

    def watched(self, mode, command, options=()):
        """The command line that runs `command` in one of the modes."""
        command = [str(word) for word in command]
        if mode == "native":
            return command
        if mode == "asleep":
            return ["env", f"LD_PRELOAD={self.root}/build/preload/libleakwatch.so", *command]
        if mode == FORWARDED:
            return ["env", f"LD_PRELOAD={self.program('forward.so')}", *command]
        if mode == HEAPTRACK:
            return ["env", f"LD_PRELOAD={HEAPTRACK_PRELOAD}", "DUMP_HEAPTRACK_OUTPUT=/dev/null", *command]
        exact = ["--exact"] if mode == "exact" else []
        folder = self.new_folder(f"{mode}: {' '.join(map(shorten, command))}")
        return [str(self.leakwatch), "run", "-q", *exact, *options, "-o", str(folder), "--", *command]

    def new_folder(self, what):
        """For the profiles of what is watched; see all_lost."""
        folder = self.work / f"profiles.{next(self._folders)}"
        self._watched.append((folder, what))
        return folder

    def new_file(self):
        return self.work / f"file.{next(self._folders)}"

    def lost(self, folder):
        """What leakwatch says that it did not record, in the last profile of a folder."""
        profiles = sorted(folder.glob("heap.*.pb.gz"))
        if not profiles:
            return ["no profile was written"]
        dump = [self.root / "build" / "tests" / "profile-dump", profiles[-1]]
        lines = subprocess.run(dump, capture_output=True, text=True, check=True).stdout.splitlines()
        return [line.removeprefix("comment ") for line in lines if line.startswith("comment ") and LOST.search(line)]

    def all_lost(self):
        """Of all that was watched: a run that was not recorded as a whole is no figure of what recording costs."""
        return [f"{what}: {words}" for folder, what in self._watched for words in self.lost(folder)]

    def output(self, mode, command):
        return subprocess.run(self.watched(mode, command), stdout=subprocess.PIPE, text=True, check=True).stdout

    def progress(self, text):
        print(text, file=sys.stderr, flush=True)

    def describe_machine(self):
        """What is measured, when and where."""
        commit = first_line(["git", "-C", self.root, "describe", "--always", "--dirty"])
        load, processors = os.getloadavg()[0], os.cpu_count()
        self.machine = (
            f"{first_line([self.leakwatch, '--version'])} ({commit}), {datetime.date.today()}\n"
            f"{value_of('/proc/cpuinfo', 'model name')}, {processors} processors, Linux {platform.release()}\n"
            f"{value_of('/etc/os-release', 'PRETTY_NAME', '=')}, {' '.join(platform.libc_ver())}, "
            f"{first_line(['g++', '--version'])}\n"
            f"{'Others are busy here: times say little. ' if load > processors / 2 else ''}"
            f"Load {load:.1f} when it began.")
        print(self.machine, flush=True)
