# SPDX-License-Identifier: Apache-2.0
"""call_main.py LIBRARY [ARGUMENT...]: calls main() of a library, for a profiler that only looks into Python's process."""

import ctypes
import sys

words = [word.encode() for word in sys.argv[1:]]
sys.exit(ctypes.CDLL(sys.argv[1]).main(len(words), (ctypes.c_char_p * (len(words) + 1))(*words, None)))
