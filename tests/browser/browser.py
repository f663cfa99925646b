# SPDX-License-Identifier: Apache-2.0
#
# A real browser, driven as little as the tests need: headless Chromium behind chromedriver, which speaks WebDriver
# (https://www.w3.org/TR/webdriver2/) over plain HTTP, with Chromium's own extension for what that lacks.

import base64
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ARGUMENTS = [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars',
    '--force-color-profile=srgb']
HANG_GUARD = 120  # seconds; nothing here takes that long, on the busiest machine


def find():
    """Paths of Chromium and its driver, or None where one of them is missing."""
    chromium = shutil.which('chromium') or shutil.which('google-chrome')
    driver = shutil.which('chromedriver')
    return (chromium, driver) if chromium and driver else None


class Browser:
    def __init__(self):
        chromium, driver = find()
        self.profile = tempfile.TemporaryDirectory(prefix='browser-')
        self.driver = subprocess.Popen([driver, '--port=0'], stdout=subprocess.PIPE, text=True)
        port = None
        for line in self.driver.stdout:
            if match := re.search(r'successfully on port (\d+)', line):
                port = match[1]
                break
        self.url = f'http://127.0.0.1:{port}/session'
        options = {'binary': chromium, 'args': ARGUMENTS + [f'--user-data-dir={self.profile.name}']}
        wanted = {'goog:chromeOptions': options, 'goog:loggingPrefs': {'browser': 'ALL'}}
        try:
            self.url += '/' + self._call('POST', '', {'capabilities': {'alwaysMatch': wanted}})['sessionId']
        except Exception:
            self._end_driver()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        try:
            self._call('DELETE', '')
        finally:
            self._end_driver()

    def _end_driver(self):
        self.driver.terminate()
        self.driver.wait()
        self.driver.stdout.close()
        self.profile.cleanup()

    def _call(self, method, path, body=None):
        request = urllib.request.Request(self.url + path, method=method, headers={'Content-Type': 'application/json'},
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=HANG_GUARD) as response:
                return json.load(response)['value']
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)['value']['message']) from error

    def open(self, url):
        self._call('POST', '/url', {'url': url})

    def evaluate(self, expression, *arguments):
        """The value of a JavaScript expression; `arguments` are its arguments[0] and so on."""
        return self._call('POST', '/execute/sync', {'script': f'return (\n{expression}\n);', 'args': list(arguments)})

    def text(self, selector):
        return self.evaluate('document.querySelector(arguments[0]).innerText', selector)

    def wait(self, what, expression):
        """Waits until the expression is true; `what` says for people what was waited for."""
        end = time.monotonic() + HANG_GUARD
        while time.monotonic() < end:
            if value := self.evaluate(expression):
                return value
            time.sleep(0.1)
        raise AssertionError(f'waited {HANG_GUARD} s in vain: {what}')

    def command(self, name, **parameters):
        """A command of the DevTools protocol."""
        return self._call('POST', '/goog/cdp/execute', {'cmd': name, 'params': parameters})

    def resize(self, width, height=900, scale=1):
        self.command('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=scale,
                     mobile=width < 500)

    def prefer(self, **features):
        """prefer(prefers_color_scheme='dark')"""
        self.command('Emulation.setEmulatedMedia', features=[
            {'name': name.replace('_', '-'), 'value': value} for name, value in features.items()])

    def press(self, key):
        """One of the keys that WebDriver knows by a number, as the user would press it."""
        value = {'ArrowLeft': '\ue012', 'ArrowRight': '\ue014', 'Home': '\ue011', 'End': '\ue010'}[key]
        self._call('POST', '/actions', {'actions': [{'type': 'key', 'id': 'keyboard', 'actions': [
            {'type': 'keyDown', 'value': value}, {'type': 'keyUp', 'value': value}]}]})

    def move_mouse_to(self, selector):
        element = self.evaluate('document.querySelector(arguments[0])', selector)
        self._call('POST', '/actions', {'actions': [{'type': 'pointer', 'id': 'mouse', 'actions': [
            {'type': 'pointerMove', 'origin': element, 'x': 0, 'y': 0}]}]})

    def screenshot(self, path, whole_page=True):
        shot = self.command('Page.captureScreenshot', captureBeyondViewport=whole_page, optimizeForSpeed=False)
        pathlib.Path(path).write_bytes(base64.b64decode(shot['data']))

    def complaints(self):
        """What the console has as warnings and errors since the last call."""
        return [entry['message'] for entry in self._call('POST', '/se/log', {'type': 'browser'})
                if entry['level'] in ('WARNING', 'SEVERE')]
