# SPDX-License-Identifier: Apache-2.0
#
# The service of the tour under leakwatch with --http, and under load: what the browser tests look at.

import json
import os
import pathlib
import re
import subprocess
import time
import urllib.request

HANG_GUARD = 120  # seconds


class Watched:
    """Files go to `folder`, which must not be there. `port` 0 is any free one."""

    def __init__(self, folder, service=os.environ['SERVICE'], port=0, options=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.loads = []
        command = [os.environ['LEAKWATCH'], 'run', '--http', f'127.0.0.1:{port}', '-o', self.folder / 'profiles',
                   *options, '--', service]
        with open(self.folder / 'stdout', 'w') as stdout, open(self.folder / 'stderr', 'w') as stderr:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
        self.url = self._line('stderr', r'serving (http://\S+)')
        self.port = int(self.url.rstrip('/').rsplit(':', 1)[1])
        self.service_port = self._line('stdout', r'listening on .*:(\d+)')

    def _line(self, file, pattern):
        end = time.monotonic() + HANG_GUARD
        while time.monotonic() < end and self.process.poll() is None:
            if match := re.search(pattern, (self.folder / file).read_text()):
                return match[1]
            time.sleep(0.05)
        raise AssertionError(f'no "{pattern}" in {self.folder / file}:\n' + (self.folder / 'stderr').read_text())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def load(self, seconds, requests_per_second):
        """Starts it; it ends by itself or with the service."""
        with open(self.folder / 'load', 'w') as stdout:
            self.loads.append(subprocess.Popen(
                [os.environ['LOAD'], self.service_port, str(seconds), str(requests_per_second)], stdout=stdout))

    def wait_for_heap(self, live_bytes):
        end = time.monotonic() + HANG_GUARD
        while self.data('live.json').get('now', {'live_bytes': 0})['live_bytes'] < live_bytes:
            assert time.monotonic() < end, f'the heap never had {live_bytes} bytes'
            time.sleep(0.5)

    def end(self):
        """leakwatch passes the signal on, and ends with the service."""
        for process in self.loads + [self.process]:
            process.terminate()
        for process in self.loads + [self.process]:
            process.wait(HANG_GUARD)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=HANG_GUARD) as response:
            return response.status, response.read()

    def data(self, path):
        return json.loads(self.get(path)[1])
