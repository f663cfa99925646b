# SPDX-License-Identifier: Apache-2.0
"""What Linux knows of a process: its processor time, its memory, its children. See proc(5)."""

import pathlib

from harness import value_of


def processor_ns(pid):
    """Of all threads that it has now."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:  # it has just ended
            pass
    return total


def resident_kib(pid, fields):
    """What it has resident, under the names that smaps_rollup has."""
    path = f"/proc/{pid}/smaps_rollup"
    return {field: int(value_of(path, field).split()[0]) for field in fields}


def child_named(pid, name):
    """leakwatch has the program as a child, and another one that is its own. None when it is gone, or not yet there."""
    try:
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if pathlib.Path(f"/proc/{child}/comm").read_text() == f"{name}\n":
                return child
    except OSError:
        pass
    return None
