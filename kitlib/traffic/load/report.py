"""What a load has shown: how long answers took, what was lost and why, who answered, and what the Pods did meanwhile.

Latency counts from when a request was due.  `service` counts from when it was sent: where the two differ, requests had
to queue.  All numbers are of all requests, lost ones in `errors` only: a refusal is quick, and would make the latency
look good.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

PERCENTILES = (50, 90, 99, 99.9)
MEANINGS = {
    "dns": "the name had no address", "refused": "nobody listened there", "unreachable": "no way there",
    "timeout": "no answer in time", "tls": "no TLS connection", "certificate": "the certificate was not believed",
    "closed": "the connection was closed without an answer",
    "reset": "the connection broke before the answer was whole",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One request.  due: seconds since the start; latency, service: milliseconds; outcome "ok" or why not."""

    due: float
    latency: float
    service: float
    outcome: str
    pod: str
    version: str
    connection: int

    @property
    def ok(self) -> bool:
        return self.outcome == "ok"


@dataclass
class Report:
    """samples: in the order of their due times.  pods: lifelines on the same clock (seconds since the start).

    seconds: how long it went on.  notes: how the requests got there, if not straight.
    """

    url: str
    rps: float
    seconds: float
    connections: int
    keepalive: bool
    target: str
    samples: list[Sample]
    pods: list[dict[str, Any]] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    @property
    def sent(self) -> int:
        return len(self.samples)

    @property
    def answered(self) -> int:
        """How many requests got an answer that was no error."""
        return sum(sample.ok for sample in self.samples)

    @property
    def lost(self) -> int:
        return self.sent - self.answered

    @property
    def ok(self) -> bool:
        return self.sent > 0 and self.lost == 0

    @property
    def errors(self) -> dict[str, int]:
        """How many were lost, by kind, most frequent first."""
        return dict(Counter(sample.outcome for sample in self.samples if not sample.ok).most_common())

    @property
    def who(self) -> dict[str, int]:
        """Answers by Pod."""
        return dict(sorted(Counter(sample.pod for sample in self.samples if sample.ok and sample.pod).items()))

    @property
    def versions(self) -> dict[str, int]:
        return dict(sorted(Counter(s.version for s in self.samples if s.ok and s.version).items()))

    def latency(self, percent: float) -> float:
        """Milliseconds within which so many percent were answered, from when they were due; NaN without answers."""
        return percentile([sample.latency for sample in self.samples if sample.ok], percent)

    def service(self, percent: float) -> float:
        """The same from when they were sent."""
        return percentile([sample.service for sample in self.samples if sample.ok], percent)

    def histogram(self) -> list[tuple[float, int]]:
        return histogram(sample.latency for sample in self.samples if sample.ok)

    def json(self) -> dict[str, Any]:
        return {"url": self.url, "target": self.target, "rps": self.rps, "seconds": round(self.seconds, 3),
                "connections": self.connections, "keepalive": self.keepalive, "sent": self.sent,
                "answered": self.answered, "lost": self.lost, "errors": self.errors,
                "latency": {f"p{p:g}": _number(self.latency(p)) for p in PERCENTILES} | {
                    "max": _number(self.latency(100))},
                "service": {f"p{p:g}": _number(self.service(p)) for p in PERCENTILES},
                "histogram": [{"upTo": limit, "count": count} for limit, count in self.histogram()],
                "who": self.who, "versions": self.versions, "pods": self.pods, "notes": list(self.notes),
                "lostRequests": [{"at": s.due, "why": s.outcome, "connection": s.connection}
                                 for s in self.samples if not s.ok][:1000]}

    def line(self) -> str:
        """How it stands, in one line: for progress."""
        return f"{self.seconds:5.1f} s: {self.sent} sent, {self.answered} answered, {self.lost} lost"

    def __str__(self) -> str:
        return text(self)

    __repr__ = __str__


def percentile(values: Iterable[float], percent: float) -> float:
    """Nearest rank: a value that was really measured."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


LIMITS = tuple(base * 10**power for power in range(-1, 5) for base in (1, 2, 5))  # 0.1 ms … 50 s


def histogram(values: Iterable[float]) -> list[tuple[float, int]]:
    """(upper limit in ms, how many up to it and above the one before), without the empty ends."""
    counts = [0] * (len(LIMITS) + 1)
    for value in values:
        counts[next((i for i, limit in enumerate(LIMITS) if value <= limit), len(LIMITS))] += 1
    used = [i for i, count in enumerate(counts) if count]
    if not used:
        return []
    limits = [round(limit, 1) for limit in LIMITS] + [math.inf]
    return [(limits[i], counts[i]) for i in range(used[0], used[-1] + 1)]


def stretches(times: Sequence[float], gap: float = 0.5) -> list[tuple[float, float]]:
    """Times as stretches: a pause longer than `gap` begins a new one."""
    found: list[tuple[float, float]] = []
    for time in sorted(times):
        if found and time - found[-1][1] <= gap:
            found[-1] = (found[-1][0], time)
        else:
            found.append((time, time))
    return found


def text(report: Report) -> str:
    """For a terminal."""
    kept = "kept alive" if report.keepalive else "each for one request"
    lines = [f"{report.url} ({report.target}): {report.rps:g} requests a second for {report.seconds:.1f} s, "
             f"at most {report.connections} connections, {kept}",
             *(f"  {note}" for note in report.notes),
             f"  {report.sent} sent, {report.answered} answered, {report.lost} lost", ""]
    if report.answered:
        lines += ["Latency, from when each request was due",
                  "  " + "   ".join(f"p{p:g} {report.latency(p):.1f} ms" for p in PERCENTILES)
                  + f"   max {report.latency(100):.1f} ms"]
        most = max(count for _, count in report.histogram())
        lines += [f"  ≤ {limit:>7g} ms {count:>7} {'█' * math.ceil(40 * count / most) if count else ''}".rstrip()
                  for limit, count in report.histogram()]
    if report.who:
        lines += ["", "Who answered"]
        of = {sample.pod: sample.version for sample in report.samples if sample.pod}
        width = max(map(len, report.who))
        lines += [f"  {pod:<{width}} {count:>7}{'   version ' + of[pod] if of[pod] else ''}"
                  for pod, count in report.who.items()]
    if report.errors:
        lines += ["", "Lost"]
        for kind, count in report.errors.items():
            when = ", ".join(f"{a:.2f} s" if b - a < 0.01 else f"{a:.2f}–{b:.2f} s" for a, b in
                             stretches([s.due for s in report.samples if s.outcome == kind])[:4])
            lines.append(f"  {count:>7}  {kind}: {MEANINGS.get(kind, 'the answer was an error')} (at {when})")
    return "\n".join(lines)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)
