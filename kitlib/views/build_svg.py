"""A build as a picture: the graph above, and below it when each step ran.

      deps                 assets               2
    ┌─────────────┐      ┌─────────────┐      ┌─────────────┐
    │#0 FROM …    │      │#3 FROM …    │      │#6 FROM …    │      a column is a stage; an arrow: reads its files
    └──────┬──────┘      └──────┬──────┘      └──────┬──────┘
    ┌──────▼──────┐      ┌──────▼──────┐             │
    │#1 RUN  ran  ├─╮    │#4 RUN  ran  ├─╮    ┌──────▼──────┐
    └─────────────┘ ╰────┴─────────────┴─┴───▶│#7 COPY ran  │
                                              └─────────────┘
    #1 RUN pkg install   ▕██████████      ▏ 0.8 s  never built before
    #4 RUN compress      ▕████████████    ▏ 0.9 s  never built before       bars above each other: side by side

A colour always comes with its word.
"""

from __future__ import annotations

import re
from html import escape
from typing import NamedTuple

from kitlib.images.build.report import Report, StepReport
from kitlib.views import theme
from kitlib.views.build_text import begun, describe, headline, note, seconds, size

WIDTH = 980
_MARGIN, _BOX, _LOW, _SPACE = 20, 46, 28, 20  # heights of a step, of one that says its name only, and between them
_HEAD = 84  # title, headline, names of the stages
_ROW = 24
_TITLES, _BAR, _BAR_WIDTH = 52, 420, 270  # the table's columns
_FLAGS = re.compile(r" --[a-z-]+(?:=\S+)?")
WORDS = {"ran": "ran", "cached": "cached", "noted": "", "skipped": "not needed", "failed": "failed",
         "waiting": "waits", "running": "running", "stopped": "stopped"}


def render(report: Report, title: str = "") -> str:
    """The figure as a self-contained SVG."""
    columns, tops = _columns(report), _tops(report)
    gap = 46 if len(columns) < 5 else 32
    wide = min(300.0, (WIDTH - 2 * _MARGIN - gap * (len(columns) - 1)) / max(1, len(columns)))
    places = {step.number: Place(_MARGIN + columns[step.stage] * (wide + gap), tops[step.number], wide, _height(step),
                                 gap) for step in report.steps}
    below = max((place.y + place.height for place in places.values()), default=_HEAD) + 34
    parts = [theme.text(_MARGIN, 28, title or "The build graph", size=16, weight=700),
             theme.text(_MARGIN, 48, headline(report), size=12, cls="dim"), *_result(report)]
    parts += [theme.text(_MARGIN + at * (wide + gap), _HEAD - 10,
                         theme.shorten(f"stage {name}" if name in report.stages else f"image {name}", int(wide / 7.5)),
                         size=13, weight=700) for name, at in columns.items()]
    parts += [_arrow(places[need], places[step.number], faint=step.how == "skipped")
              for step in report.steps for need in step.needs]
    parts += [_step(step, places[step.number]) for step in report.steps]
    rows = [step for step in report.steps if step.kind not in ("from", "note")] if begun(report) else []
    if rows:
        parts += _timeline(report, rows, below)
        below += 40 + _ROW * len(rows)
    return theme.svg(WIDTH, below, "".join(parts), title=title or "Build graph", description=describe(report))


class Place(NamedTuple):
    """Where a step is drawn; gap: between its column and the next one."""

    x: float
    y: float
    wide: float
    height: float
    gap: float


def _columns(report: Report) -> dict[str, int]:
    """Stage → column: in the order of the file, images that only give files first."""
    images = [step.stage for step in report.steps if step.stage not in report.stages]
    return {name: at for at, name in enumerate(dict.fromkeys((*images, *report.stages)))}


def _height(step: StepReport) -> float:
    return _LOW if step.how == "noted" else _BOX


def _tops(report: Report) -> dict[int, float]:
    """How far down a step stands: below all that it stands on, so that arrows lead downwards."""
    tops: dict[int, float] = {}
    for step in report.steps:
        above = [tops[n.number] + _height(n) + _SPACE for n in report.steps if n.number in step.needs]
        tops[step.number] = max(above, default=_HEAD)
    return tops


def _result(report: Report) -> list[str]:
    if not report.image:
        return []
    short = report.image.removeprefix("sha256:")[:12]
    return [theme.text(WIDTH - _MARGIN, 28, f"image {short}", size=13, anchor="end", cls="mono"),
            theme.text(WIDTH - _MARGIN, 48, size(report.bytes), size=12, anchor="end", cls="dim")]


def _step(step: StepReport, place: Place) -> str:
    x, y, wide, height, _ = place
    role = theme.colour(step.how)
    dash = ' stroke-dasharray="5 4"' if step.how in ("skipped", "waiting") else ""
    thick = 1.2 if step.how in ("noted", "skipped", "waiting") else 2.5
    faint = ' opacity="0.6"' if step.how == "skipped" else ""
    word = WORDS[step.how]
    if step.worked:
        word = f"{word} {seconds(step.seconds)}"
    if step.bytes and step.how in ("ran", "cached"):
        word = f"{word} · {size(step.bytes)}"
    mark = "" if not word else (f'<rect x="{x + 10:g}" y="{y + 28:g}" width="9" height="9" rx="2" fill="{role}"/>'
                                + theme.text(x + 24, y + 37, word, size=12, cls="dim"))
    name = re.sub(r" AS \S+$", "", _FLAGS.sub("", step.title))  # the arrows and the column's head say these
    cover = f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{height:g}" rx="8" class="bg"/>' if faint else ""
    return (f'{cover}<g{faint}><title>{escape(step.title)}</title>'
            f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{height:g}" rx="8" class="box" stroke="{role}" '
            f'stroke-width="{thick:g}"{dash}/>'
            + theme.text(x + 9, y + 19, fit(f"#{step.number} {name}", int((wide - 14) / 6.7)), size=11, cls="mono",
                         weight=600) + mark + "</g>")


def fit(text: str, limit: int) -> str:
    """The beginning of an instruction says most."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _arrow(start: Place, end: Place, *, faint: bool) -> str:
    """Straight down within a stage; a curve from the right side to the left one between stages."""
    look = f'class="line" stroke-width="1.8" stroke-opacity="{0.45 if faint else 1}"'
    head = f'style="fill:var(--kit-line)" fill-opacity="{0.45 if faint else 1}"'
    if start.x == end.x:
        x = start.x + 26
        return (f'<path d="M {x:g} {start.y + start.height:g} V {end.y - 7:g}" {look}/>'
                f'<path d="M {x:g} {end.y:g} l -5 -8 h 10 Z" {head}/>')
    way = 1 if start.x < end.x else -1
    x1, x2 = (start.x + start.wide, end.x) if way > 0 else (start.x, end.x + end.wide)
    y1, y2 = start.y + start.height / 2, end.y + end.height / 2
    out, tip = way * start.gap * 0.8, way * 8
    return (f'<path d="M {x1:g} {y1:g} C {x1 + out:g} {y1:g}, {x2 - out:g} {y2:g}, {x2 - tip:g} {y2:g}" {look}/>'
            f'<path d="M {x2:g} {y2:g} l {-tip:g} -5 v 10 Z" {head}/>')


def _timeline(report: Report, rows: list[StepReport], y: float) -> list[str]:
    """Who ran when: bars that stand above each other ran side by side."""
    right = _BAR + _BAR_WIDTH
    parts = [theme.text(_MARGIN, y + 14, "When each step ran", size=14, weight=700),
             theme.text(_BAR, y + 14, "0", size=11, cls="dim"),
             theme.text(right, y + 14, seconds(report.seconds), size=11, anchor="end", cls="dim")]
    whole = max(report.seconds, 1e-6)
    bottom = y + 24 + _ROW * len(rows)
    for x in (_BAR, _BAR + _BAR_WIDTH / 2, right):
        parts.append(f'<path d="M {x:g} {y + 20:g} V {bottom:g}" class="line" stroke-opacity=".3"/>')
    for number, step in enumerate(rows):
        line = y + 24 + _ROW * number
        faint = ' opacity="0.6"' if step.how == "skipped" else ""
        parts.append(f'<g{faint}><title>{escape(step.title)}</title>'
                     + theme.text(_MARGIN, line + 16, fit(f"#{step.number} {step.title}", _TITLES), size=12, cls="mono")
                     + "</g>")
        if step.worked:
            begin = _BAR + _BAR_WIDTH * min(1.0, step.began / whole)
            width = max(2.5, min(_BAR_WIDTH * step.seconds / whole, right - begin))
            parts.append(f'<rect x="{begin:.1f}" y="{line + 4:g}" width="{width:.1f}" height="{_ROW - 8}" rx="3" '
                         f'fill="{theme.colour(step.how)}"/>')
        told = note(report, step)
        took = f"{WORDS[step.how]} {seconds(step.seconds)}" if step.worked else WORDS[step.how]
        words = f"{took}: {told}" if told and step.how != "skipped" else took
        parts.append(theme.text(right + 12, line + 16, theme.shorten(words, 43), size=11))
    return parts
