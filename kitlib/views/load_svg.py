"""A load as a picture: every request at its time, and below it what the Pods did then.

    lost ✕        ✕✕✕                │
    100 ms                           │ ▏
     10 ms  ·  ·   ·  ·  ·           │ ███
      1 ms  ● ●■ ●■●■ ■ ■ ■ ■ ■      │ ███████████   how many took so long
            ─────────────────────────┘
    web-a   ━━━━━━━━━▼╌╌╌                      ━ in the Service's endpoints   ─ there, not in them
    web-b        ──━━━━━━━━━━━━━━━             ▼ told to end   ╌ on its way out   ▭ gone, but still in them

A Pod has a colour and a shape; what is lost has a cross and a line of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kitlib.traffic.load.report import LIMITS, Report, Sample
from kitlib.views.theme import shorten, svg, text

SERIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#999999")
LOST = "#d55e00"
LEFT, PLOT, RIGHT = 170, 560, 190  # names, time, histogram
TOP, HEIGHT, LOST_ROW, ROW = 74, 190, 34, 24
MOST_DOTS = 1400


class Axes:
    """Seconds to x, milliseconds (logarithmic) to y."""

    def __init__(self, seconds: float, lowest: float, highest: float) -> None:
        self.seconds = max(seconds, 0.1)
        self.low, self.high = math.log10(lowest), math.log10(highest)
        self.bottom = TOP + LOST_ROW + HEIGHT

    def x(self, at: float) -> float:
        return LEFT + PLOT * min(max(at / self.seconds, 0.0), 1.0)

    def y(self, milliseconds: float) -> float:
        part = (math.log10(max(milliseconds, 1e-3)) - self.low) / (self.high - self.low)
        return self.bottom - HEIGHT * min(max(part, 0.0), 1.0)


def render(report: Report) -> str:
    answered = [sample for sample in report.samples if sample.ok]
    lowest, highest = _range(answered)
    last = max((moment["at"] for line in report.pods for moment in line["moments"]), default=0.0)
    axes = Axes(max(report.seconds, min(last, report.seconds * 1.1)), lowest, highest)
    looks = _looks(report)
    parts = [*_title(report), *_grid(axes), *_marks(report, axes), *_dots(answered, axes, looks),
             *_lost(report, axes), *_histogram(report, axes), *_lifelines(report, axes, looks)]
    return svg(LEFT + PLOT + RIGHT, axes.bottom + 66 + ROW * len(looks), "".join(parts),
               title=f"Load on {report.url}", description=describe(report))


def describe(report: Report) -> str:
    """The picture in words."""
    found = [f"{report.sent} requests in {report.seconds:.1f} seconds, {report.lost} of them lost"]
    if report.answered:
        found.append(f"half were answered within {report.latency(50):.1f} ms, 99 of 100 within "
                     f"{report.latency(99):.1f} ms")
    found += [f"{pod} answered {count}" for pod, count in report.who.items()]
    found += [f"{count} lost: {kind}" for kind, count in report.errors.items()]
    return "; ".join(found) + "."


def _range(answered: Sequence[Sample]) -> tuple[float, float]:
    """Whole decades around what was measured."""
    values = [sample.latency for sample in answered] or [1.0]
    low = 10.0 ** math.floor(math.log10(max(min(values), 0.1)))
    high = 10.0 ** math.ceil(math.log10(max(*values, 1.0)) + 1e-9)
    return low, max(high, low * 100)


def _looks(report: Report) -> dict[str, tuple[str, int]]:
    """Pod → colour and shape; in the order of their lives, then those that only answered."""
    names = [line["pod"] for line in report.pods]
    names += [pod for pod in report.who if pod not in names]
    return {name: (SERIES[i % len(SERIES)], i % 4) for i, name in enumerate(names)}


def _title(report: Report) -> list[str]:
    kept = "" if report.keepalive else ", a new one for each"
    return [text(16, 26, shorten(report.url, 70), size=16, weight=700),
            text(16, 46, f"{report.rps:g} requests a second over at most {report.connections} connections{kept}: "
                         f"{report.sent} sent, {report.answered} answered", size=12, cls="dim"),
            text(16, 64, "Each request at the second in which it was due, and how long its answer took from then.",
                 size=11, cls="dim"),
            text(LEFT + PLOT + RIGHT - 16, 26, f"{report.lost} lost", size=16, weight=700, anchor="end",
                 fill=LOST if report.lost else "")]


def _grid(axes: Axes) -> list[str]:
    parts = []
    for power in range(round(axes.low), round(axes.high) + 1):
        y = axes.y(10.0**power)
        parts.append(f'<path class="line" stroke-opacity=".35" d="M{LEFT} {y:.1f}H{LEFT + PLOT + RIGHT - 16}"/>')
        parts.append(text(LEFT - 8, y + 4, f"{10.0**power:g} ms", size=11, anchor="end", cls="dim"))
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 1000) if axes.seconds / s <= 12)
    for i in range(int(axes.seconds / step + 1e-6) + 1):
        parts.append(text(axes.x(i * step), axes.bottom + 16, f"{i * step:g}", size=11, anchor="middle", cls="dim"))
    parts.append(text(LEFT + PLOT + 6, axes.bottom + 16, "s", size=11, cls="dim"))
    parts.append(text(LEFT + PLOT + 26, axes.bottom + 16, "how many took so long", size=11, cls="dim"))
    parts.append(text(LEFT - 8, TOP + 20, "lost", size=11, anchor="end", cls="dim"))
    return parts


def _marks(report: Report, axes: Axes) -> list[str]:
    """A vertical line where a Pod was told to end."""
    ends = [moment["at"] for line in report.pods for moment in line["moments"] if moment["what"] == "terminating"]
    bottom = axes.bottom + 36 + ROW * len(report.pods)
    return [f'<path class="line" stroke-dasharray="3 4" d="M{axes.x(at):.1f} {TOP}V{bottom}"/>' for at in ends]


def _shape(x: float, y: float, look: tuple[str, int], size: float = 2.6) -> str:
    colour, shape = look
    if shape == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="{colour}"/>'
    if shape == 1:
        return f'<rect x="{x - size:.1f}" y="{y - size:.1f}" width="{2 * size:g}" height="{2 * size:g}" ' \
               f'fill="{colour}"/>'
    s = size * 1.25
    lines = f"M{x:.1f} {y - s:.1f}L{x + s:.1f} {y + s:.1f}H{x - s:.1f}Z" if shape == 2 else \
        f"M{x:.1f} {y - s:.1f}L{x + s:.1f} {y:.1f}L{x:.1f} {y + s:.1f}L{x - s:.1f} {y:.1f}Z"
    return f'<path d="{lines}" fill="{colour}"/>'


def _dots(answered: Sequence[Sample], axes: Axes, looks: dict[str, tuple[str, int]]) -> list[str]:
    """Every request; of very many each n-th, and the slowest of those between."""
    every = math.ceil(len(answered) / MOST_DOTS) or 1
    chosen = [max(answered[i:i + every], key=lambda sample: sample.latency) for i in range(0, len(answered), every)]
    nobody = ("#59627a", 0)
    return ['<g fill-opacity=".75">', *(_shape(axes.x(s.due), axes.y(s.latency), looks.get(s.pod, nobody))
                                         for s in chosen), "</g>"]


def _lost(report: Report, axes: Axes) -> list[str]:
    crosses = [sample for sample in report.samples if not sample.ok][:MOST_DOTS]
    parts = [f'<path d="M{axes.x(s.due) - 4:.1f} {TOP + 11}l8 8m0 -8l-8 8" stroke="{LOST}" stroke-width="2"/>'
             for s in crosses]
    words = ", ".join(f"{count} {kind}" for kind, count in report.errors.items())
    if words:
        parts.append(text(LEFT + PLOT + RIGHT - 16, TOP + 20, shorten(words, 30), size=11, anchor="end", fill=LOST))
    return parts


def _histogram(report: Report, axes: Axes) -> list[str]:
    """On the same scale as the dots: how many took so long."""
    found = report.histogram()
    most = max((count for _, count in found), default=0)
    left, width = LEFT + PLOT + 26, RIGHT - 80
    parts = []
    for limit, count in found:
        if not count:
            continue
        upper = min(limit, LIMITS[-1])
        lower = max((each for each in LIMITS if each < upper - 1e-9), default=upper / 2)
        top, bottom = axes.y(upper), axes.y(lower)
        parts.append(f'<rect x="{left}" y="{top + 1:.1f}" width="{max(1.0, width * count / most):.1f}" '
                     f'height="{max(1.0, bottom - top - 2):.1f}" fill="#56b4e9" fill-opacity=".8"/>')
        parts.append(text(left + max(1.0, width * count / most) + 5, (top + bottom) / 2 + 4, str(count), size=10,
                          cls="dim"))
    return parts


def _lifelines(report: Report, axes: Axes, looks: dict[str, tuple[str, int]]) -> list[str]:
    parts, y = [], axes.bottom + 42.0
    lives = {line["pod"]: line["moments"] for line in report.pods}
    versions = {sample.pod: sample.version for sample in report.samples if sample.version}
    for pod, look in looks.items():
        name = shorten(pod, 19 if versions.get(pod) else 22)
        parts.append(_shape(12, y, look, 4))
        parts.append(text(22, y + 4, name, size=11, cls="mono"))
        if versions.get(pod):
            parts.append(text(LEFT - 6, y + 4, shorten(versions[pod], 6), size=11, anchor="end", cls="dim"))
        parts += _life(lives.get(pod, ()), y, axes, look[0])
        parts.append(text(LEFT + PLOT + 26, y + 4, f"{report.who.get(pod, 0)} answers", size=11, cls="dim"))
        y += ROW
    if report.pods:
        parts += _legend(y + 6)
    return parts


def _legend(y: float) -> list[str]:
    line = '<path class="line" stroke-width="{}" {} d="M{} {}h24"/>'
    return [line.format(8, "", LEFT, y - 4), text(LEFT + 30, y, "in the Service's endpoints", size=11, cls="dim"),
            line.format(2, "", LEFT + 196, y - 4), text(LEFT + 226, y, "there, but not in them", size=11, cls="dim"),
            f'<path d="M{LEFT + 366} {y - 8}h10l-5 8z" fill="{LOST}"/>',
            text(LEFT + 382, y, "told to end", size=11, cls="dim"),
            line.format(2, 'stroke-dasharray="4 3"', LEFT + 462, y - 4),
            text(LEFT + 492, y, "on its way out", size=11, cls="dim"),
            f'<rect x="{LEFT + 582}" y="{y - 8}" width="24" height="8" fill="none" stroke="{LOST}" '
            f'stroke-width="1.5" stroke-dasharray="3 2"/>',
            text(LEFT + 612, y, "gone, but still in them", size=11, cls="dim")]


def _life(moments: Sequence[dict[str, Any]], y: float, axes: Axes, colour: str) -> list[str]:
    """A Pod's life as a line: thin, thick while it is an endpoint, dashed from the order to end; hollow: a ghost."""
    if not moments:
        return []
    parts = []
    there = endpoint = ending = False
    for i, moment in enumerate(moments):
        what, begin = moment["what"], axes.x(moment["at"])
        end = axes.x(moments[i + 1]["at"]) if i + 1 < len(moments) else axes.x(axes.seconds)
        there = what != "gone" and (there or what == "created")
        endpoint = what == "endpoint" or (endpoint and what != "no-endpoint")
        ending = ending or what == "terminating"
        if what == "terminating":
            parts.append(f'<path d="M{begin - 5:.1f} {y - 9:.1f}h10l-5 8z" fill="{LOST}"/>')
        if end <= begin:
            continue
        if there:
            dash = ' stroke-dasharray="4 3"' if ending else ""
            parts.append(f'<path d="M{begin:.1f} {y:.1f}H{end:.1f}" stroke="{colour}" fill="none" '
                         f'stroke-width="{8 if endpoint else 2}"{dash}/>')
        elif endpoint:  # a ghost: traffic is sent where nobody is
            parts.append(f'<rect x="{begin:.1f}" y="{y - 4:.1f}" width="{end - begin:.1f}" height="8" fill="none" '
                         f'stroke="{LOST}" stroke-width="1.5" stroke-dasharray="3 2"/>')
    return parts
