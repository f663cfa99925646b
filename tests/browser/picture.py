#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# picture.py FILE: makes the picture of the live page for the manual (man/live-page.png), from a real run of some
# minutes. Takes LEAKWATCH, SERVICE and LOAD from the environment, as the tests do.

import pathlib
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from browser import Browser  # noqa: E402  (after the line above, which keeps the source folder clean)
from watched import Watched  # noqa: E402

# Seconds and requests a second: by day, at night, and after a release.
PHASES = [(70, 30), (50, 2), (90, 80)]

with tempfile.TemporaryDirectory() as folder, \
        Watched(pathlib.Path(folder) / 'watched', options=['--sample-interval', '64KiB']) as watched, \
        Browser() as browser:
    browser.resize(1080, 1045)
    browser.open(watched.url)
    for seconds, rate in PHASES:
        watched.load(seconds, rate)
        time.sleep(seconds)
    # What it was started as, without the folder of this build.
    browser.evaluate("document.querySelector('#command').textContent = './service'")
    browser.screenshot(sys.argv[1], whole_page=False)
