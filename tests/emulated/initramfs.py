#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# initramfs.py FOLDER FILE: what is in FOLDER, as an archive from which a kernel starts (Linux,
# Documentation/driver-api/early-userspace/buffer-format.rst).

import gzip
import os
import sys

HEADER = 110


def padded(data):
    return data + b"\0" * (-len(data) % 4)


def entry(name, mode, data, device=(0, 0), number=0):
    encoded = name.encode() + b"\0"
    fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return padded(header + encoded) + padded(data)


def entries(folder):
    # The console that the first process has, before anything is mounted.
    yield entry("dev", 0o040755, b"")
    yield entry("dev/console", 0o020600, b"", (5, 1))
    for place, folders, files in os.walk(folder):
        for name in sorted(folders) + sorted(files):
            path = os.path.join(place, name)
            inside = os.path.relpath(path, folder)
            if os.path.islink(path):
                yield entry(inside, 0o120777, os.readlink(path).encode())
            elif os.path.isdir(path):
                yield entry(inside, 0o040755, b"")
            else:
                with open(path, "rb") as file:
                    yield entry(inside, 0o100755, file.read())
        folders[:] = [name for name in folders if not os.path.islink(os.path.join(place, name))]
    yield entry("TRAILER!!!", 0, b"")


if __name__ == "__main__":
    with gzip.open(sys.argv[2], "wb", 1) as archive:
        for part in entries(sys.argv[1]):
            archive.write(part)
