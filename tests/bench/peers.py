# SPDX-License-Identifier: Apache-2.0
"""other tools that do such things, on the same loads

The storm of the part `cost`, and redis. A profiler that belongs to an allocator is measured against that allocator
alone, memray against the storm in Python's process alone, and all others against the program as it is. Rounds are
interleaved; tools that are very slow have fewer iterations.
"""

import dataclasses
import itertools
import pathlib
import shutil
import subprocess
import sys

import redis
import targets
from cost import two_times
from harness import HEAPTRACK_PRELOAD, median, print_table, spread

JEMALLOC, TCMALLOC = "libjemalloc.so.2", "libtcmalloc.so.4"
MEMRAY = "memray"  # of PyPI, in a folder of its own
SAMPLERS = ("jemalloc's profiler, 512 KiB", "tcmalloc's sampler, 512 KiB")
HEAPTRACK = "heaptrack's preload, output thrown away"


@dataclasses.dataclass(frozen=True)
class Tool:
    name: str
    against: str = ""  # another tool; none: this is what others are measured against
    mode: str = ""  # of ours
    environment: tuple = ()
    prefix: tuple = ()
    package: str = ""  # of Debian
    needs: str = ""  # a library or a program
    slowness: int = 1  # iterations are divided by it
    runs_redis: bool = False
    is_in_python: bool = False

    def wrap(self, bench, command):
        if self.mode:
            return bench.watched(self.mode, command)
        if self.is_in_python:
            command = [bench.root / "tests/bench/call_main.py", bench.program("storm-in-python.so"), *command[1:]]
        return ["env", *self.environment, *self.prefix, *map(str, command)]


def allocator(library, *settings):
    return (f"LD_PRELOAD={library}", *settings)


TOOLS = (
    Tool("native", mode="native", runs_redis=True),
    Tool("jemalloc", environment=allocator(JEMALLOC, "MALLOC_CONF=prof:false"), package="libjemalloc2", needs=JEMALLOC,
         runs_redis=True),
    Tool("tcmalloc", environment=allocator(TCMALLOC, "TCMALLOC_SAMPLE_PARAMETER=0"), package="libgoogle-perftools4",
         needs=TCMALLOC, runs_redis=True),
    Tool("python", prefix=("{memray}/python",), package=MEMRAY, needs="{memray}/memray", is_in_python=True),
    Tool("leakwatch", "native", mode="sampled", runs_redis=True),
    Tool(SAMPLERS[0], "jemalloc", package="libjemalloc2", needs=JEMALLOC, runs_redis=True,
         environment=allocator(JEMALLOC, "MALLOC_CONF=prof:true,prof_active:true,lg_prof_sample:19")),
    Tool(SAMPLERS[1], "tcmalloc", package="libgoogle-perftools4", needs=TCMALLOC, runs_redis=True,
         environment=allocator(TCMALLOC, "TCMALLOC_SAMPLE_PARAMETER=524288")),
    Tool("leakwatch --exact", "native", mode="exact", runs_redis=True),
    Tool(HEAPTRACK, "native", package="heaptrack", needs=str(HEAPTRACK_PRELOAD),
         environment=(f"LD_PRELOAD={HEAPTRACK_PRELOAD}", "DUMP_HEAPTRACK_OUTPUT=/dev/null"), runs_redis=True),
    Tool("jemalloc's profiler, every allocation", "jemalloc", package="libjemalloc2", needs=JEMALLOC, slowness=10,
         environment=allocator(JEMALLOC, "MALLOC_CONF=prof:true,prof_active:true,lg_prof_sample:0")),
    Tool("gperftools' heap profiler", "tcmalloc", package="libgoogle-perftools4", needs=TCMALLOC, slowness=30,
         environment=allocator(TCMALLOC, "HEAPPROFILE={work}/gperftools", "HEAP_PROFILE_ALLOCATION_INTERVAL=0")),
    Tool("valgrind --tool=dhat", "native", package="valgrind", needs="valgrind", slowness=30,
         prefix=("valgrind", "-q", "--tool=dhat", "--dhat-out-file=/dev/null")),
    Tool("memray run --native", "python", package=MEMRAY, needs="{memray}/memray", slowness=3, is_in_python=True,
         prefix=("{memray}/memray", "run", "--native", "-q", "-f", "-o", "/dev/null")),
)
NOT_TRIED = (
    "bytehound: Debian and crates.io do not have it, only its releases on GitHub",
    "async-profiler: Debian does not have it; the registries of Java were not tried",
)


def is_there(name):
    """A program, a file, or a library that the loader would find."""
    if shutil.which(name):
        return True
    folders = itertools.chain(*(pathlib.Path(base).glob("*-linux-gnu") for base in ("/usr/lib", "/lib")))
    return any((folder / name).exists() for folder in folders)  # also of an absolute name


def why_not(tool):
    """It cannot be measured; empty when it can."""
    if tool.needs and not is_there(tool.needs):
        return f"not installed ({'pip' if tool.package == MEMRAY else 'apt-get'} install {tool.package})"
    if tool.needs == JEMALLOC:  # which is built with its profiler or without, and complains then
        words = subprocess.run(["env", *tool.environment, "true"], capture_output=True, text=True, check=False).stderr
        if words:
            return f"this build of it cannot: {words.strip().splitlines()[0]}"
    return ""


def memray_folder(root):
    return root / "build" / "bench" / "memray"


def install(root):
    """What Debian does not have."""
    folder = memray_folder(root)
    if (folder / "bin" / "memray").exists():
        return
    for command in (["python3", "-m", "venv", folder], [folder / "bin" / "pip", "-q", "install", MEMRAY]):
        try:
            subprocess.run(command, check=True, stdout=sys.stderr, timeout=600)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"bench: going on without memray: {error}", file=sys.stderr)
            return


def in_place(bench, tool):
    """With the folders of this run."""
    folders = {"work": bench.work, "memray": memray_folder(bench.root) / "bin"}
    environment, prefix = (tuple(word.format(**folders) for word in words)
                           for words in (tool.environment, tool.prefix))
    return dataclasses.replace(tool, environment=environment, prefix=prefix, needs=tool.needs.format(**folders))


def loads(bench):
    """Name -> (which tools run it, function of a tool)."""
    iterations = 300_000 if bench.is_quick else 2_000_000

    def storm(threads):
        def run(tool):
            command = [bench.program("storm"), threads, iterations // tool.slowness]
            done = subprocess.run(tool.wrap(bench, command), capture_output=True, text=True, check=True)
            return two_times(done.stdout)
        return run

    found = {f"storm-{threads}": (lambda tool: True, storm(threads)) for threads in (1, 2)}
    if not redis.why_not():
        found["redis"] = (lambda tool: tool.runs_redis,
                          lambda tool: redis.run(bench, lambda command: tool.wrap(bench, command)))
    return found


def measure_rounds(bench, tools):
    """Load -> of each round: a tool's name -> what it measured."""
    results = {name: [] for name in loads(bench)}
    for number in range(bench.rounds):
        order = tools[number % len(tools):] + tools[:number % len(tools)]
        for load, (is_for, run) in loads(bench).items():
            bench.progress(f"peers: {load}, round {number + 1} of {bench.rounds}")
            results[load].append({tool.name: run(tool) for tool in order if is_for(tool)})
    return results


def ratios(rounds, tool, kind):
    return [seen[tool.name][kind] / seen[tool.against][kind] for seen in rounds]


def cells(results, tool):
    for load, rounds in results.items():
        for kind in ("", ", processor"):
            yield spread(ratios(rounds, tool, kind)) if tool.name in rounds[0] else "-"


def remark(bench, results, tools):
    """What the peers reached, beside our own figures in the table of all targets."""
    by_name = {tool.name: tool for tool in tools}
    for key, load, peers in (("storm-1 sampled", "storm-1", SAMPLERS), ("storm-2 sampled", "storm-2", SAMPLERS),
                             ("redis sampled", "redis", SAMPLERS), ("redis exact", "redis", [HEAPTRACK])):
        found = [by_name[name] for name in peers if name in by_name and load in results]
        power = -1 if load == "redis" else 1  # of redis it is throughput that is asked for
        words = [f"{tool.name.split(',')[0]} {median(ratios(results[load], tool, ''))**power:.3f}" for tool in found]
        if words:
            bench.remark(key, ", ".join(words))


def measure(bench):
    all_tools = [in_place(bench, tool) for tool in TOOLS]
    reasons = {tool.name: why_not(tool) for tool in all_tools}
    tools = [tool for tool in all_tools if not reasons[tool.name] and not (tool.against and reasons[tool.against])]
    results = measure_rounds(bench, tools)
    head = ["tool", "against", *(load + kind for load in results for kind in ("", ", processor"))]
    rows = [[tool.name, tool.against, *cells(results, tool)] for tool in tools if tool.against]
    print_table(
        "Other tools: time of a load, and its processor time, by that of the program (or its allocator) alone: median of "
        f"{bench.rounds} rounds (middle half)", head, rows, left=(1,))
    (bench.charts / "peers.md").write_text(f"{bench.machine}\n\n{targets.as_markdown(head, rows)}\n")
    for tool in TOOLS:
        why = reasons[tool.name] or (tool.against and reasons[tool.against])
        if why:
            print(f"Not measured: {tool.name}: {why}")
    print("\n".join(f"Not measured: {words}" for words in NOT_TRIED), flush=True)
    remark(bench, results, tools)
