"""Figures for the slides about rolling updates: a small, exact story, drawn by the code that draws real loads.

    !figure rollout naive | ready | lag | kept | calm     what clients see of one Pod that replaces another
    !figure ending                                        the two races that begin when a Pod is deleted

The story obeys three rules: a new connection goes to a Pod in the endpoints; a kept one stays where it is; an answer
comes if that Pod listens.
"""

from __future__ import annotations

from dataclasses import dataclass

from kitlib.traffic.load.report import Report, Sample
from kitlib.views.load_svg import LOST, render
from kitlib.views.theme import svg, text

SECONDS, STEP, CONNECTIONS = 3.0, 0.02, 10
CREATED = 0.5
NAMES = {"naive": "no readiness probe", "ready": "a readiness probe", "lag": "endpoints that lag",
         "kept": "preStop: kept connections stay", "calm": "drain: Connection: close"}


@dataclass(frozen=True)
class Life:
    """When a Pod listens (from, to), is an endpoint (from, to), is told to end, begins to say goodbye."""

    name: str
    listens: tuple[float, float]
    endpoint: tuple[float, float]
    created: float = 0.0
    told: float = 9.0
    goodbye: float = 9.0

    def listening(self, at: float) -> bool:
        return self.listens[0] <= at < self.listens[1]

    def moments(self) -> list[tuple[float, str]]:
        found = [(self.created, "created"), (self.endpoint[0], "endpoint"), (self.told, "terminating"),
                 (self.endpoint[1], "no-endpoint")]
        if self.told < SECONDS:
            found.append((max(self.listens[1], self.told + 0.05), "gone"))
        return sorted((at, what) for at, what in found if at < SECONDS)


def lives(story: str) -> tuple[Life, Life]:
    """The old Pod and the new one."""
    ready = 1.4 if story != "naive" else CREATED + 0.1
    told = ready + 0.05
    last = told + {"kept": 1.0, "calm": 1.0}.get(story, 0.0)
    leaves = told + (0.7 if story == "lag" else 0.02)
    old = Life("web-old", (0.0, last), (0.0, leaves), told=told, goodbye=told if story == "calm" else 9.0)
    new = Life("web-new", (CREATED + 0.6, 9.0), (leaves if story == "lag" else ready, 9.0), created=CREATED)
    return old, new


def samples(story: str) -> list[Sample]:
    """One request after the other, each on the next of ten connections (for `kept` and `calm`) or on a new one."""
    pods, found = lives(story), []
    held: list[Life | None] = [None] * CONNECTIONS
    for i in range(round(SECONDS / STEP)):
        at, slot = i * STEP, i % CONNECTIONS
        there = [pod for pod in pods if pod.endpoint[0] <= at < pod.endpoint[1]]
        kept = held[slot]
        pod = kept if kept is not None and kept.listening(at) else there[i % len(there)] if there else pods[0]
        answered = pod.listening(at)
        latency = 0.3 + 0.6 * ((i * i * 7919 + 31 * i) % 101) / 101
        found.append(Sample(at, latency, latency, "ok" if answered else "refused", pod.name if answered else "", "",
                            slot))
        keeps = story in ("kept", "calm") and answered and at < pod.goodbye
        held[slot] = pod if keeps else None
    return found


def rollout(story: str) -> str:
    if story not in NAMES:
        raise ValueError(f"there is: {', '.join(NAMES)}")
    pods = [{"pod": pod.name, "template": "", "moments": [{"at": at, "what": what} for at, what in pod.moments()]}
            for pod in lives(story)]
    return render(Report(f"http://web/   {NAMES[story]}", 1 / STEP, SECONDS, CONNECTIONS, story in ("kept", "calm"),
                         "Service web", samples(story), pods))


LANES = (("kubelet", "#009e73", ((60, "preStop"), (330, "SIGTERM"), (560, "SIGKILL"))),
         ("endpoints", "#0072b2", ((60, "not ready"), (250, "proxies hear of it"))),
         ("clients", "#e69f00", ((250, "no new connection"), (440, "kept ones leave"))))


def ending() -> str:
    """What begins when a Pod is deleted: two roads that know nothing of each other, and clients between them."""
    parts = [text(24, 34, "A Pod is deleted: two roads begin, and neither waits for the other", size=17, weight=700)]
    left, top, row = 130, 76, 74
    for i, (lane, colour, stops) in enumerate(LANES):
        y = top + i * row
        parts.append(text(left - 12, y + 5, lane, size=14, anchor="end", weight=700))
        parts.append(f'<path d="M{left} {y}H{left + 690}" stroke="{colour}" stroke-width="3" fill="none"/>')
        for x, words in stops:
            parts.append(f'<circle cx="{left + x}" cy="{y}" r="7" fill="{LOST if words == "SIGKILL" else colour}"/>')
            parts.append(text(left + x, y + 26, words, size=13, anchor="middle"))
    bottom = top + 2 * row + 50
    parts.append(f'<path d="M{left} {top - 22}V{bottom}" class="line" stroke-dasharray="3 4"/>')
    parts.append(text(left, bottom + 18, "deletionTimestamp", size=12, anchor="middle", cls="dim"))
    parts.append(f'<path d="M{left} {top - 20}H{left + 560}" class="line" stroke-width="1.5"/>')
    parts.append(text(left + 280, top - 26, "terminationGracePeriodSeconds", size=12, anchor="middle", cls="dim"))
    return svg(860, bottom + 34, "".join(parts), title="The end of a Pod",
               description="Three lanes from the moment a Pod is deleted. Kubelet: preStop, SIGTERM, SIGKILL at the "
                           "end of the grace period. Endpoints: not ready at once, proxies hear of it later. Clients: "
                           "new ones stop when the proxies have heard, kept ones leave when somebody tells them.")
