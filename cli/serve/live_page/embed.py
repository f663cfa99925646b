#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# embed.py PAGE OUTPUT: writes C++ with the page as one string, its style sheet and scripts (files beside it) put in
# their places, and with the Content-Security-Policy that permits just these.

import base64
import hashlib
import pathlib
import re
import sys

page, output = map(pathlib.Path, sys.argv[1:])
hashes = {'script': [], 'style': []}


def inline(kind):
    def element(match):
        text = (page.parent / match['file']).read_text(encoding='utf-8')
        digest = hashlib.sha256(text.encode()).digest()
        hashes[kind].append("'sha256-" + base64.b64encode(digest).decode() + "'")
        return f'<{kind}>{text}</{kind}>'
    return element


def literal(text):
    escapes = {ord('"'): '\\"', ord('\\'): '\\\\', ord('\n'): '\\n', ord('?'): '\\?'}
    lines = text.encode().splitlines(keepends=True)
    return '\n'.join('    "' + ''.join(escapes.get(byte) or (chr(byte) if 32 <= byte < 127 else f'\\{byte:03o}')
                                       for byte in line) + '"' for line in lines)


html = page.read_text(encoding='utf-8')
html = re.sub(r'<link rel="stylesheet" href="(?P<file>[\w.]+)">', inline('style'), html)
html = re.sub(r'<script src="(?P<file>[\w.]+)"></script>', inline('script'), html)
policy = '; '.join([
    "default-src 'none'", 'script-src ' + ' '.join(hashes['script']), 'style-src ' + ' '.join(hashes['style']),
    "connect-src 'self'", 'img-src data:', "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"])

output.write_text(f'''// Made by cli/serve/live_page/embed.py.
#include "cli/serve/live_page.h"

namespace leakwatch {{

const std::string_view kLivePageHtml =
{literal(html)};
const std::string_view kLivePagePolicy =
{literal(policy)};

}}  // namespace leakwatch
''', encoding='ascii')
