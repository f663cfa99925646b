#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# live_page_test.py FOLDER: the live page in a real browser, over the leaking service under load. Screenshots are left
# in FOLDER. Status 77 where there is no browser.

import os
import pathlib
import re
import shutil
import signal
import sys
import time
import unittest
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
import browser  # noqa: E402  (after the line above, which keeps the source folder clean)
from watched import Watched  # noqa: E402

LOOKS = (pathlib.Path(__file__).parent / 'looks.js').read_text(encoding='utf-8')
HEAP_LINE = "[...document.querySelectorAll('#memory-plot path.line.heap')].map(path => path.getAttribute('d')).join()"


def row_of(rows, function):
    """The cells of the row that names the function, as texts; null while there is none."""
    return (f"[...document.querySelectorAll('#{rows} tr')].filter(row => row.cells[0].innerText.includes('{function}'))"
            ".map(row => [...row.cells].map(cell => cell.innerText))[0]")


def status_of(url):
    try:
        with urllib.request.urlopen(url, timeout=120) as answer:
            return answer.status if answer.read() else 'empty'
    except urllib.error.HTTPError as error:
        return error.code


class LivePage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.watched = Watched(folder / 'watched')
        cls.addClassCleanup(cls.watched.end)
        cls.watched.load(900, 60)
        cls.browser = browser.Browser()
        cls.addClassCleanup(cls.browser.end)

    def setUp(self):
        self.browser.prefer()
        self.browser.resize(1200, 900)
        self.browser.open(self.watched.url)
        self.browser.wait('the page to be live', "document.querySelector('#state').innerText === 'live'")

    def tearDown(self):
        self.assertEqual(self.browser.complaints(), [])

    def wait_for_tables(self):
        self.browser.wait('the leak', f"({row_of('site-rows', 'SessionCache::remember')} ?? []).length")
        self.browser.wait('the threads', f"({row_of('group-rows', 'Subscription::wait')} ?? []).length")

    def test_the_plot_moves(self):
        points = f'{HEAP_LINE}.split("L").length'
        before = self.browser.wait('some points', f'{points} >= 3 && {HEAP_LINE}')
        count = self.browser.evaluate(points)
        self.browser.wait('more points', f'{points} >= {count + 3}')
        self.assertNotEqual(self.browser.evaluate(HEAP_LINE), before)
        live = self.browser.text('#live')
        self.browser.wait('more live heap', f"document.querySelector('#live').innerText !== '{live}'")
        self.assertRegex(self.browser.text('#live'), r'^[\d.]+ [KM]iB$')
        self.assertRegex(self.browser.text('#resident'), r'^[\d.]+ MiB$')

    def test_the_leaking_function_is_named_with_its_slope(self):
        row = self.browser.wait('a slope of the leak',
                                f"(row => row && row[3].startsWith('+') && row)({row_of('site-rows', 'remember')})")
        self.assertEqual(row[0].split(), ['service::SessionCache::remember', 'session_cache.cc:18'])
        self.assertRegex(row[1], r'^[\d.]+ [KM]iB$')
        self.assertRegex(row[2], r'^\+[\d.]+ [KM]iB$')
        self.assertRegex(row[3], r'^\+[\d.]+ [KM]iB/min$')
        self.assertIn('L', self.browser.evaluate("document.querySelector('#site-rows .spark path').getAttribute('d')"))

    def test_the_growing_thread_group_is_named_with_its_growth(self):
        row = self.browser.wait('growth of the group',
                                f"(row => row && row[2].startsWith('+') && row)({row_of('group-rows', 'wait')})")
        self.assertRegex(row[0], r'^service::Subscription::wait subscription.cc:\d+ \[futex wait\]')
        self.assertRegex(row[0], r'made by service::Subscription::start subscription.cc:\d+$')
        self.assertRegex(row[2], r'^\+\d+$')
        self.assertRegex(row[3], r'^\+[\d.]+/min$')
        others = self.browser.evaluate("[...document.querySelectorAll('#group-rows tr')].map(row => row.innerText)"
                                       ".filter(text => !text.includes('Subscription'))")
        self.assertTrue([text for text in others if 'made by service::Server::Server' in text], others)

    def test_light_and_dark_differ_and_both_are_easy_to_read(self):
        self.wait_for_tables()
        grounds = {}
        for scheme in ('light', 'dark'):
            self.browser.prefer(prefers_color_scheme=scheme)
            grounds[scheme] = self.browser.evaluate('getComputedStyle(document.body).backgroundColor')
            self.assertEqual(self.browser.evaluate(f'{LOOKS}.isHardToRead()'), [])
            self.browser.screenshot(folder / f'live-page-{scheme}.png')
        brightness = {scheme: sum(map(int, re.findall(r'\d+', color))) for scheme, color in grounds.items()}
        self.assertGreater(brightness['light'], 600)
        self.assertLess(brightness['dark'], 150)

    def test_a_phone_needs_no_scrolling_aside(self):
        for width in (360, 768):
            self.browser.resize(width, 740)
            self.browser.open(self.watched.url)
            self.wait_for_tables()
            self.assertEqual(self.browser.evaluate('document.documentElement.scrollWidth'), width)
            self.assertEqual(self.browser.evaluate(f'{LOOKS}.sticksOut()'), [])
            self.browser.screenshot(folder / f'live-page-{width}.png')

    def test_the_cursor_is_moved_by_mouse_and_by_keys(self):
        self.browser.wait('some points', f'{HEAP_LINE}.split("L").length >= 3')
        self.assertEqual(self.browser.text('#moment'), '')
        self.browser.evaluate("document.querySelector('#memory-plot svg').focus()")
        self.browser.press('ArrowLeft')
        self.assertRegex(self.browser.text('#moment'), r'^\d\d:\d\d:\d\d$')
        spoken = self.browser.evaluate("document.activeElement.getAttribute('aria-valuetext')")
        self.assertRegex(spoken, r'Live heap [\d.]+ \w+ at \d\d:\d\d:\d\d$')
        self.browser.press('Home')
        first = self.browser.text('#moment')
        self.browser.press('ArrowRight')
        self.assertGreater(self.browser.text('#moment'), first)
        self.browser.move_mouse_to('#threads-plot svg')
        self.assertRegex(self.browser.text('#moment'), r'^\d\d:\d\d:\d\d$')
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('.plot .cursor').length"), 3)

    def test_the_range_is_chosen(self):
        chosen = "[...document.querySelectorAll('[aria-pressed=true]')].map(button => button.innerText).join()"
        self.assertEqual(self.browser.evaluate(chosen), '10 min')
        self.browser.evaluate("document.querySelector('[data-seconds=\"0\"]').click()")
        self.assertEqual(self.browser.evaluate(chosen), 'Whole run')

    def test_nothing_moves_for_who_wants_that(self):
        animation = "getComputedStyle(document.querySelector('#state'), '::before').animationName"
        self.assertNotEqual(self.browser.evaluate(animation), 'none')
        self.browser.prefer(prefers_reduced_motion='reduce')
        self.assertEqual(self.browser.evaluate(animation), 'none')

    def test_a_page_that_nobody_sees_asks_seldom(self):
        self.wait_for_tables()
        asked = "performance.getEntriesByType('resource').filter(each => /json/.test(each.name)).length"
        self.browser.evaluate("(Object.defineProperty(document, 'visibilityState', {value: 'hidden', configurable: true}),"
                              "document.dispatchEvent(new Event('visibilitychange')))")
        time.sleep(2)  # what was under way may still arrive
        before = self.browser.evaluate(asked)
        time.sleep(6)
        self.assertLessEqual(self.browser.evaluate(asked) - before, 1)
        self.browser.evaluate("(delete document.visibilityState, document.dispatchEvent(new Event('visibilitychange')))")
        self.browser.wait('questions again', f'{asked} > {before + 3}')

    def test_every_link_leads_somewhere(self):
        links = set(self.browser.evaluate("[...document.querySelectorAll('a')].map(link => link.href)"))
        self.assertGreater(len(links), 15)
        for link in sorted(links):
            self.assertTrue(link.startswith(self.watched.url), link)
        # A difference over half a minute is there in a second as well.
        answers = {link: status_of(link.replace('seconds=30', 'seconds=1')) for link in links}
        self.assertEqual({link: status for link, status in answers.items() if status != 200}, {})

    def test_commands_name_this_server(self):
        commands = self.browser.evaluate("[...document.querySelectorAll('#commands pre')].map(text => text.innerText)")
        self.assertIn(f'go tool pprof -http :8000 {self.watched.url}debug/pprof/heap', commands)
        self.assertIn(f"go tool pprof -http :8000 '{self.watched.url}debug/pprof/heap?since=start'", commands)
        self.assertFalse([command for command in commands if '{' in command])


class OtherPrograms(unittest.TestCase):
    def test_a_name_is_text_whatever_it_is(self):
        name = folder / '<img src=x onerror=alert(1)>'
        shutil.copy(os.environ['SERVICE'], name)
        with Watched(folder / 'named', service=name) as watched, browser.Browser() as page:
            page.open(watched.url)
            page.wait('the command', "document.querySelector('#command').innerText !== ''")
            self.assertEqual(page.text('#command'), str(name))
            self.assertEqual(page.evaluate("document.querySelectorAll('img').length"), 0)
            self.assertEqual(page.complaints(), [])

    def test_time_without_figures_is_a_gap_in_the_plot(self):
        stretches = "document.querySelectorAll('#memory-plot path.line.heap').length"
        with Watched(folder / 'stopped') as watched, browser.Browser() as page:
            page.open(watched.url)
            page.wait('some points', f'{HEAP_LINE}.split("L").length >= 3')
            self.assertEqual(page.evaluate(stretches), 1)
            watched.process.send_signal(signal.SIGSTOP)
            time.sleep(8)
            watched.process.send_signal(signal.SIGCONT)
            page.wait('a gap', f'{stretches} === 2')

    def test_when_the_program_has_ended_the_last_data_stays_and_the_next_one_begins_anew(self):
        with browser.Browser() as page:
            with Watched(folder / 'first') as watched:
                page.open(watched.url)
                page.wait('some points', f'{HEAP_LINE}.split("L").length >= 3')
            page.wait('word of the end', "document.querySelector('#state').innerText === 'no answer'")
            self.assertIn('the program has ended, or leakwatch is gone', page.text('#banner'))
            self.assertGreaterEqual(page.evaluate(f'{HEAP_LINE}.split("L").length'), 3)
            self.assertRegex(page.text('#resident'), r'^[\d.]+ MiB$')
            page.screenshot(folder / 'live-page-ended.png')
            with Watched(folder / 'second', port=watched.port) as second:
                page.wait('the next program', "document.querySelector('#state').innerText === 'live'")
                pid = second.data('live.json')['pid']
                page.wait('its number', f"document.querySelector('#process').innerText.startsWith('pid {pid},')")
                self.assertEqual(page.text('#banner'), '')


if __name__ == '__main__':
    if not browser.find():
        print('skipped: there is no chromium with its chromedriver here (scripts/install-dependencies browser)')
        sys.exit(77)
    folder = pathlib.Path(sys.argv.pop(1))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    unittest.main(verbosity=2)
