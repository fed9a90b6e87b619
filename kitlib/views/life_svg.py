"""A Pod's life as a time table: one row for the Pod, one for each container, a bar for each state.

The axis is not to scale: a Pod's start is a matter of milliseconds and its life one of days, so every change gets room,
and the marks say when it was.  What the kubelet and the scheduler told (Events) stands below.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from kitlib.trace.podlife import POD, PodLife, Span
from kitlib.views import theme
from kitlib.views.pod_svg import state_colour

WIDTH, LEFT, RIGHT = 980, 170, 88
TOP, ROW, BAR = 74, 34, 24
EVENT_ROW, MAX_EVENTS = 19, 14
ROUTINE = ("Pulling", "Pulled", "Created", "Started")   # the bars say that already
LEAST = 34.0    # room for the shortest state
SAME = 0.004    # changes so close together are one
_POD_STATES = {"Pending": "Pending", "Running": "Pending", "Ready": "Running", "Succeeded": "Succeeded",
               "Failed": "Failed", "Terminating": "gone"}


class Axis:
    """Seconds → x.  Between two changes there is always room; long quiet times are shortened."""

    def __init__(self, times: Sequence[float], end: float) -> None:
        points = [0.0]
        for time in sorted({*times, end}):
            if time - points[-1] > SAME:
                points.append(time)
        self.points = points
        gaps = [after - before for before, after in itertools.pairwise(points)]
        weights = [math.log1p(gap / 0.05) for gap in gaps]
        room = WIDTH - LEFT - RIGHT
        least = min(LEAST, room / max(1, len(gaps)))
        share = (room - least * len(gaps)) / (sum(weights) or 1.0)
        self._at = [float(LEFT)]
        for weight in weights:
            self._at.append(self._at[-1] + least + weight * share)

    def x(self, time: float) -> float:
        for index, point in enumerate(self.points):
            if time <= point + SAME:
                if index == 0 or time >= point - SAME:
                    return self._at[index]
                before = self.points[index - 1]
                part = (time - before) / (point - before)
                return self._at[index - 1] + part * (self._at[index] - self._at[index - 1])
        return self._at[-1]


def render(life: PodLife) -> str:
    """The figure as a self-contained SVG."""
    told = [event for event in life.told if event.reason not in ROUTINE][-MAX_EVENTS:]
    rows_end = TOP + ROW * len(life.lanes)
    height = rows_end + 30 + (EVENT_ROW * len(told) + 24 if told else 0)
    axis = Axis([t for span in life.spans for t in (span.start, span.end) if t is not None], life.now)
    parts = [theme.text(20, 32, f"The life of Pod {life.name}", size=17, weight=700),
             theme.text(20, 52, "time since it was created; not to scale"
                        + ("" if life.exact else "; whole seconds, as the status remembers them"), size=12, cls="dim")]
    parts += _marks(axis, rows_end)
    for number, lane in enumerate(life.lanes):
        y = TOP + ROW * number
        parts.append(theme.text(LEFT - 12, y + 17, theme.shorten(lane, 21), size=13, anchor="end",
                                weight=700 if lane == POD else 400))
        parts += [_bar(axis, span, y, life.now) for span in life.of(lane)]
    for number, event in enumerate(told):
        y = rows_end + 46 + EVENT_ROW * number
        again = f" (×{event.times})" if event.times > 1 else ""
        parts += [theme.text(LEFT - 12, y, f"{event.at:.0f} s", size=12, anchor="end", cls="dim"),
                  theme.text(LEFT, y, event.reason + again, size=12, weight=700),
                  theme.text(LEFT + 150, y, theme.shorten(event.container, 20), size=12),
                  theme.text(LEFT + 270, y, theme.shorten(event.message, 80), size=12, cls="dim")]
    return theme.svg(WIDTH, height, "".join(parts), title=f"The life of Pod {life.name}", description=describe(life))


def _marks(axis: Axis, bottom: float) -> list[str]:
    parts, last = [], -99.0
    for point in axis.points:
        x = axis.x(point)
        parts.append(f'<line x1="{x:g}" y1="{TOP - 4}" x2="{x:g}" y2="{bottom}" class="line" stroke-opacity="0.35" '
                     f'stroke-dasharray="2 3"/>')
        if x - last >= 44:
            parts.append(theme.text(x, TOP - 9, seconds(point), size=11, anchor="middle", cls="dim"))
            last = x
    return parts


def seconds(value: float) -> str:
    """`0`, `35 ms`, `2.4 s`, `5 min`: as exact as one can read."""
    if value < SAME:
        return "0"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.0f} min"


def _bar(axis: Axis, span: Span, y: float, now: float) -> str:
    start, end = axis.x(span.start), axis.x(now if span.end is None else span.end)
    width = max(2.0, end - start - 1)
    colour = theme.colour(_POD_STATES[span.state]) if span.state in _POD_STATES else state_colour(span.state)
    strong = span.state.partition(" ")[0] in ("Ready", "ready", "exited", "Failed", "Succeeded")
    over = span.state.startswith("exited")
    shown, thick = (BAR / 3, BAR / 3) if over else (0.0, float(BAR))
    length = seconds((now if span.end is None else span.end) - span.start)
    parts = [f'<g><title>{span.lane}: {span.state}, {length}</title>'
             f'<rect x="{start:g}" y="{y + shown:g}" width="{width:g}" height="{thick:g}" rx="4" fill="{colour}" '
             f'fill-opacity="{0.55 if strong else 0.25}" stroke="{colour}" stroke-width="1.5"/>']
    fits = int((width - 9) / 6.9)
    words = next((text for text in (span.state, span.state.partition(" ")[0], span.state.partition(" ")[2])
                  if text and len(text) <= fits), "")
    if words:
        parts.append(theme.text(start + 5, y + 16, words, size=11, weight=600))
    elif end > WIDTH - RIGHT - 1 and len(span.state) < 12:  # the last word of a life, in the margin
        parts.append(theme.text(end + 4, y + 16, span.state, size=11, weight=600))
    return "".join(parts) + "</g>"


def describe(life: PodLife) -> str:
    """The figure in words: its alternative text, and what a terminal shows."""
    if not life.lanes:
        return f"Nothing is known of a Pod {life.name}. Is the name right, and the namespace?"
    width = max(len(lane) for lane in life.lanes)
    lines = []
    for lane in life.lanes:
        bars = [f"{seconds(span.start):>7} {span.state}" for span in life.of(lane)]
        if lane == POD and life.spans and all(span.end is not None for span in life.of(POD)):
            bars.append(f"{seconds(life.now):>7} gone")
        lines.append(f"{lane:<{width}}  " + "  →".join(bars))
    lines += [f"{event.at:>5.0f} s  {event.reason:<12} {event.container}: {event.message}"
              + (f" (×{event.times})" if event.times > 1 else "") for event in life.told]
    return "\n".join(lines)
