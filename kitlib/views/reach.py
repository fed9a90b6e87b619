"""Which change reaches whom, and when: readers in a running Pod, asked ten times a second while something changes.

                       ▼ kubectl patch configmap …
    env       blue ──────────────────────────────────────   never
    file      blue ────┤ red ─────────────────────────────   after 0.1 s
    subPath   blue ──────────────────────────────────────   never

The readings are real: one command in the container prints what every reader sees.  (It ends by itself after the
measurement, since an API server does not kill a command whose client has gone.)
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kitlib.client import streams
from kitlib.views import theme

PERIOD = 0.1  # seconds between two readings
BEFORE = 0.6  # seconds of readings before the change
_FIELD, _ROW = "\x1f", "\n"

WIDTH, _LEFT, _RIGHT, _TOP, _LINE = 980, 240, 150, 92, 46


@dataclass(frozen=True)
class Span:
    """A reader saw `value` from `start` to `end`, in seconds after the change."""

    start: float
    end: float
    value: str


@dataclass(frozen=True)
class Reach:
    """What was measured.  readers: name → its spans, in order.  change: how it is called."""

    change: str
    seconds: float
    readers: dict[str, tuple[Span, ...]]

    def arrived(self, name: str) -> float | None:
        """Seconds after the change when the reader first saw another value; None: never, in that time."""
        spans = self.readers[name]
        return next((span.start for before, span in itertools.pairwise(spans) if span.start >= 0
                     and span.value != before.value), None)


def spans(readings: list[tuple[float, str]], end: float) -> tuple[Span, ...]:
    """Readings (seconds after the change, value) in their order, put together.

    >>> spans([(-0.1, "a"), (0.0, "a"), (0.1, "b")], 0.3)
    (Span(start=-0.1, end=0.1, value='a'), Span(start=0.1, end=0.3, value='b'))
    """
    found: list[Span] = []
    for at, value in readings:
        if found and found[-1].value == value:
            continue
        if found:
            found[-1] = Span(found[-1].start, at, found[-1].value)
        found.append(Span(at, end, value))
    return tuple(found)


def measure(transport: Any, namespace: str, pod: str, readers: Mapping[str, str], change: Callable[[], Any], *,
            label: str, seconds: float = 2.0, container: str = "") -> Reach:
    """Run `change` while the readers (name → shell command) are read in a container of the Pod.

    Raises StatusError if the Pod cannot be asked, ValueError with its words if it says nothing.
    """
    times = round((BEFORE + seconds) / PERIOD)
    asked = "; ".join(f'printf "%s\\037" "$({command} </dev/null 2>/dev/null)"' for command in readers.values())
    script = f"i=0; while [ $i -lt {times} ]; do {asked}; echo; i=$((i+1)); sleep {PERIOD}; done"
    pipe = streams.execute(transport, namespace, pod, ["sh", "-c", script], container=container)
    rows: list[tuple[float, list[str]]] = []
    reading = threading.Thread(target=_read, args=(pipe.sock, rows, len(readers)), daemon=True)
    reading.start()
    time.sleep(BEFORE)
    began = time.monotonic()
    try:
        change()
        reading.join(seconds + 10.0)
    finally:
        pipe.sock.close()
    if not rows:
        raise ValueError(f"the Pod {pod} says nothing: {pipe.error or 'is there a shell in its container?'}")
    end = rows[-1][0] - began
    return Reach(label, end, {name: spans([(at - began, row[number]) for at, row in rows], end)
                              for number, name in enumerate(readers)})


def _read(sock: Any, rows: list[tuple[float, list[str]]], width: int) -> None:
    rest = ""
    while True:
        try:
            data = sock.recv(65536)
        except OSError:
            return
        if not data:
            return
        *lines, rest = (rest + data.decode(errors="replace")).split(_FIELD + _ROW)
        now = time.monotonic()
        rows += [(now, line.split(_FIELD)) for line in lines if line.count(_FIELD) == width - 1]


def said(reach: Reach, name: str) -> str:
    """`after 0.1 s`, or `not in 2 s`."""
    arrived = reach.arrived(name)
    return f"not in {reach.seconds:.0f} s" if arrived is None else f"after {arrived:.1f} s"


class ReachFigure:
    """How it shows itself: drawn in a notebook, as text elsewhere.  `.reach` is the data."""

    def __init__(self, reach: Reach) -> None:
        self.reach = reach

    @property
    def svg(self) -> str:
        return svg(self.reach)

    def __str__(self) -> str:
        width = max(map(len, self.reach.readers))
        lines = [f"{name:<{width}}  {' → '.join(s.value or '(nothing)' for s in found)}  ({said(self.reach, name)})"
                 for name, found in self.reach.readers.items()]
        return "\n".join([self.reach.change, *lines])

    __repr__ = __str__

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        return {"text/html": self.svg, "text/plain": str(self)}


def svg(reach: Reach) -> str:
    """The picture: time from left to right, a line for each reader."""
    start = min(found[0].start for found in reach.readers.values())
    height = _TOP + _LINE * len(reach.readers) + 16

    def x(at: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (at - start) / max(0.1, reach.seconds - start)

    parts = [theme.text(20, 28, "Which change reaches whom, and when", size=16, weight=700),
             theme.text(x(0), 56, theme.shorten(reach.change, 84), size=12, cls="mono",
                        anchor="start" if x(0) < 500 else "end"),
             f'<path d="M {x(0) - 6:g} 62 h 12 l -6 10 Z" fill="{theme.colour("client")}"/>',
             f'<path d="M {x(0):g} 72 V {height - 12:g}" class="line" stroke-dasharray="4 3"/>']
    for number, (name, found) in enumerate(reach.readers.items()):
        y = _TOP + _LINE * number
        parts.append(theme.text(20, y + 20, theme.shorten(name, 28), size=13, weight=600))
        for at, span in enumerate(found):
            role = "gone" if at == 0 else "Running"
            wide = max(4.0, x(span.end) - x(span.start) - 2)
            parts.append(theme.box(x(span.start), y, wide, 30, stroke=theme.colour(role), thick=2.5, radius=5))
            if wide > 30:
                parts.append(theme.text(x(span.start) + 10, y + 20, theme.shorten(span.value or "(nothing)",
                                        int(wide / 8)), size=12, cls="mono"))
        arrived = reach.arrived(name)
        parts.append(f'<rect x="{WIDTH - _RIGHT + 14:g}" y="{y + 5}" width="6" height="20" rx="3" '
                     f'fill="{theme.colour("removed" if arrived is None else "Running")}"/>')
        parts.append(theme.text(WIDTH - _RIGHT + 28, y + 20, said(reach, name), size=12))
    spoken = ". ".join(f"{name}: {' then '.join(s.value or 'nothing' for s in found)}, {said(reach, name)}"
                       for name, found in reach.readers.items())
    return theme.svg(WIDTH, height, "".join(parts), title="Which change reaches whom", description=f"{spoken}.")
