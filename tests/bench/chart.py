# SPDX-License-Identifier: Apache-2.0
"""A chart with lines, both axes logarithmic, as SVG: https://www.w3.org/TR/SVG11/.

Its colours follow the reader's light or dark page; the lines differ by their markers too, for who sees no colours.
"""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 72, 24, 84, 56  # around the plot

# For light pages and for dark ones.
PAPER, INK, FAINT = ("#ffffff", "#0d1117"), ("#1f2328", "#e6edf3"), ("#d8dee4", "#30363d")
LINES = (("#0969da", "#58a6ff"), ("#bc4c00", "#f0883e"), ("#1a7f37", "#56d364"), ("#8250df", "#bc8cff"))


def style():
    def rules(which):
        colours = [f".paper{{fill:{PAPER[which]}}}", f"text{{fill:{INK[which]}}}", f".grid{{stroke:{FAINT[which]}}}",
                   f".axis{{stroke:{INK[which]}}}"]
        for number, line in enumerate(LINES):
            colours.append(f".line{number}{{stroke:{line[which]}}} .mark{number}{{fill:{line[which]}}}")
            colours.append(f".low{number}{{fill:{PAPER[which]};stroke:{line[which]}}}")
        return " ".join(colours)
    return ("<style>text{font:13px system-ui,sans-serif} .title{font-size:16px;font-weight:600} "
            "polyline{fill:none;stroke-width:2} "
            f"{rules(0)} @media (prefers-color-scheme: dark){{{rules(1)}}}</style>")


def tick_words(value):
    """1,000 and more are short: 10k, 1M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


class Axis:
    """From values to places: `begin` and `end` are where the lowest and the highest are drawn."""

    def __init__(self, lowest, highest, begin, end):
        if highest <= lowest:
            highest = lowest * 10
        self.lowest, self.highest = lowest, highest
        self._begin, self._end = begin, end

    def place(self, value):
        value = min(max(value, self.lowest), self.highest)
        part = math.log(value / self.lowest) / math.log(self.highest / self.lowest)
        return self._begin + (self._end - self._begin) * part

    def ticks(self):
        """Powers of ten."""
        first = math.ceil(math.log10(self.lowest) - 1e-9)
        last = math.floor(math.log10(self.highest) + 1e-9)
        return [10.0**power for power in range(first, last + 1)]


def decades(values, least):
    """The powers of ten around the values; nothing is below `least`."""
    lowest = 10.0 ** math.floor(math.log10(max(min(values), least)) + 1e-9)
    highest = 10.0 ** math.ceil(math.log10(max(max(values), least)) - 1e-9)
    return max(lowest, least), max(highest, lowest * 10)


def text(x, y, words, anchor="middle", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(words)}</text>'


def line(kind, x1, y1, x2, y2):
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def mark(shape, kind, x, y):
    if shape % 3 == 0:
        return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    if shape % 3 == 1:
        return f'<rect class="{kind}" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
    return f'<path class="{kind}" d="M{x:.1f} {y - 5:.1f} l5 9 h-10 z"/>'


def draw_axes(x_axis, y_axis, x_ticks, x_words, y_words, has_low):
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    yield line("axis", LEFT, bottom, right, bottom)
    for value in x_ticks:
        x = x_axis.place(value)
        yield line("axis", x, bottom, x, bottom + 5)
        yield text(x, bottom + 20, tick_words(value))
    for value in y_axis.ticks():
        y = y_axis.place(value)
        yield line("grid", LEFT, y, right, y)
        yield text(LEFT - 8, y + 4, ("≤ " if has_low and value == y_axis.lowest else "") + tick_words(value), "end")
    yield text((LEFT + right) / 2, HEIGHT - 12, x_words)
    middle = (TOP + bottom) / 2
    yield text(18, middle, y_words, more=f'transform="rotate(-90 18 {middle:.1f})"')


def draw_series(number, points, x_axis, y_axis):
    places = [(x_axis.place(x), y_axis.place(y), y < y_axis.lowest) for x, y in points]
    yield f'<polyline class="line{number}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)}"/>'
    for x, y, is_low in places:
        yield mark(number, f"low{number}" if is_low else f"mark{number}", x, y)


def draw_legend(names):
    x = LEFT
    for number, name in enumerate(names):
        yield mark(number, f"mark{number}", x + 5, TOP - 26)
        yield text(x + 16, TOP - 22, name, "start")
        x += 34 + 7.2 * len(name)  # about as wide as the letters are


def line_chart(title, x_words, y_words, series, least=0.1):
    """`series`: (name, [(x, y), ...]) of each line, at most four. What is below `least` is drawn there, hollow."""
    xs = sorted({x for _, points in series for x, _ in points})
    ys = [y for _, points in series for _, y in points]
    x_axis = Axis(xs[0], xs[-1], LEFT + 12, WIDTH - RIGHT - 12)
    y_axis = Axis(*decades(ys, least), HEIGHT - BOTTOM, TOP)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
             f'height="{HEIGHT}" role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">', style(),
             f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>',
             text(LEFT, 28, title, "start", 'class="title"')]
    parts += draw_axes(x_axis, y_axis, xs, x_words, y_words, min(ys) < y_axis.lowest)
    for number, (_, points) in enumerate(series):
        parts += draw_series(number, points, x_axis, y_axis)
    parts += draw_legend([name for name, _ in series])
    return "\n".join([*parts, "</svg>", ""])
