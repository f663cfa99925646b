#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# pprof_test.py FOLDER: pprof's own pages in a real browser, over live profiles of the leaking service. Screenshots are
# left in FOLDER. Status 77 where there is no browser, no Go or no Graphviz, which pprof draws its graph with.

import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
import browser  # noqa: E402  (after the line above, which keeps the source folder clean)
from watched import Watched  # noqa: E402

# What is to be seen, without blanks: pprof breaks and cuts long names, and the graph has a line for each part.
VISIBLE = "[document.body, ...document.querySelectorAll('svg text')].map(e => e.innerText ?? e.textContent).join('')"


class PprofPages:
    """`go tool pprof -http` over a URL."""

    def __init__(self, profile_url, *options):
        environment = os.environ | {'PPROF_TMPDIR': str(folder), 'PPROF_BINARY_PATH': str(folder)}
        self.process = subprocess.Popen(
            ['go', 'tool', 'pprof', '-no_browser', '-http', '127.0.0.1:', *options, profile_url], env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True)
        said = ''
        for line in self.process.stderr:
            said += line
            if match := re.search(r'Serving web UI on (http://\S+)', line):
                self.url = match[1]
                return
        raise AssertionError(f'pprof did not serve {profile_url}: {said}')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, 15)  # go, and pprof below it
        self.process.wait()
        self.process.stderr.close()


class PprofInBrowser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.watched = Watched(folder / 'watched')
        cls.addClassCleanup(cls.watched.end)
        cls.browser = browser.Browser()
        cls.addClassCleanup(cls.browser.end)
        cls.browser.resize(1200, 900)
        cls.watched.load(900, 60)
        cls.watched.wait_for_heap(24 << 20)  # so much that no sampling misses it, nor pprof leaves it out

    def look(self, pages, view, words, name):
        """One of pprof's views by its link in the menu, as their addresses differ from version to version."""
        self.browser.open(pages.url)
        self.browser.open(self.browser.evaluate('document.getElementById(arguments[0]).href', view))
        self.browser.wait(f'{words} in {view}', ' && '.join(f"{VISIBLE}.includes('{word}')" for word in words))
        self.browser.screenshot(folder / f'pprof-{name}.png')

    def test_the_live_heap_as_graph_flame_graph_and_table(self):
        with PprofPages(self.watched.url + 'debug/pprof/heap') as pages:
            self.look(pages, 'graphbtn', ['SessionCache', 'remember'], 'graph')
            boxes = self.browser.evaluate("[...document.querySelectorAll('svg .node')].map(box => box.textContent)")
            self.assertTrue([box for box in boxes if 'remember' in box and re.search(r'[\d.]+[kM]B', box)], boxes)
            self.look(pages, 'flamegraph', ['SessionCache', 'remember'], 'flame-graph')
            self.look(pages, 'topbtn', ['SessionCache::remember'], 'top')
            size = self.browser.evaluate(
                "[...document.querySelectorAll('tr')].filter(row => row.textContent.includes('SessionCache::remember'))"
                ".map(row => row.cells[3].innerText)[0]")
            self.assertRegex(size, r'^[\d.]+[kM]B$')

    def test_what_it_kept_since_the_start(self):
        with PprofPages(self.watched.url + 'debug/pprof/heap?since=start') as pages:
            self.look(pages, 'graphbtn', ['SessionCache', 'remember'], 'since-start')

    def test_threads_by_where_they_are(self):
        with PprofPages(self.watched.url + 'debug/pprof/goroutine') as pages:
            self.look(pages, 'flamegraph', ['Subscription', 'wait'], 'threads')



if __name__ == '__main__':
    missing = [program for program in ('go', 'dot') if not shutil.which(program)]
    if not browser.find() or missing:
        print('skipped: this takes chromium with its chromedriver, go and dot (scripts/install-dependencies browser)')
        sys.exit(77)
    folder = pathlib.Path(sys.argv.pop(1))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    unittest.main(verbosity=2)
