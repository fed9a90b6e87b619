"""The life of one Pod as spans of time: what the Pod and each of its containers were, from when to when.

    Pod        │Pending│  Running  │      Ready        │Terminating│
    init       │waiting│running│exited 0 ............................
    web        │waiting ...      │running│ready       │exited 0    │

From the embedded cluster's records (exact to the millisecond, and still there when the Pod is gone), else from what the
Pod's status remembers: whole seconds, and of a container that was started often only the last two runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kitlib.objects.clock import parse_time
from kitlib.objects.errors import StatusError
from kitlib.trace.record import Record, containers

POD = "Pod"
GONE = "gone"


@dataclass(frozen=True, slots=True)
class Span:
    """lane: POD or a container's name.  start, end: seconds since the Pod was created (end None: still so)."""

    lane: str
    state: str
    start: float
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """An Event: seconds since the creation (whole seconds, as a kubelet reports them), reason, message.

    container: whom it is about, "" for the whole Pod.  times: how often it was told.
    """

    at: float
    reason: str
    message: str
    container: str = ""
    times: int = 1


@dataclass(frozen=True, slots=True)
class PodLife:
    """exact: from records, not from the status.  now: seconds since the creation when it was looked at."""

    name: str
    lanes: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    told: tuple[Told, ...] = ()
    now: float = 0.0
    exact: bool = True

    def json(self) -> dict[str, Any]:
        return asdict(self)

    def of(self, lane: str) -> list[Span]:
        return [span for span in self.spans if span.lane == lane]


def _pod_state(facts: Mapping[str, Any]) -> str:
    if facts.get("exists") is False:
        return GONE
    if facts.get("deleting"):
        return "Terminating"
    return "Ready" if facts.get("ready") else facts.get("phase") or "Pending"


def from_records(records: Iterable[Record], name: str, namespace: str, now: float) -> PodLife:
    """The life of the youngest Pod of that name; without any lanes if none is known."""
    mine = [r for r in records if (r.resource, r.namespace, r.name) == ("pods", namespace, name)]
    if not mine:
        return PodLife(name)
    mine = sorted((r for r in mine if r.uid == mine[-1].uid), key=lambda r: r.revision)
    born, facts = mine[0].time, dict[str, Any]()
    open_spans: dict[str, tuple[str, float]] = {}
    spans: list[Span] = []
    lanes = {POD: None}
    for record in mine:
        at = record.time - born
        facts.update({key: after for key, (_, after) in record.changes.items()})
        gone = facts.get("exists") is False
        states = {POD: _pod_state(facts), **({} if gone else facts.get("containers") or {})}
        for lane in [lane for lane in open_spans if gone or states.get(lane) != open_spans[lane][0]]:
            if gone or lane in states:
                state, start = open_spans.pop(lane)
                spans.append(Span(lane, state, start, at))
        for lane, state in states.items():
            lanes.setdefault(lane)
            if lane not in open_spans and state != GONE:
                open_spans[lane] = (state, at)
    end = mine[-1].time - born if facts.get("exists") is False else now - born
    spans += [Span(lane, state, start) for lane, (state, start) in open_spans.items()]
    return PodLife(name, tuple(lanes), tuple(sorted(spans, key=lambda s: s.start)), now=max(end, 0.001))


def from_status(pod: Mapping[str, Any], now: float) -> PodLife:
    """What a Pod's own status remembers."""
    meta, status = pod["metadata"], pod.get("status") or {}
    born = parse_time(meta["creationTimestamp"])
    spans: list[Span] = []

    def since(text: str | None) -> float | None:
        return max(0.0, parse_time(text) - born) if text else None

    ready: Mapping[str, Any] = next((c for c in status.get("conditions") or ()
                                     if (c["type"], c["status"]) == ("Ready", "True")), {})
    phase = status.get("phase", "Pending")
    marks: list[tuple[str, float | None]] = [("Pending", 0.0)]
    if phase == "Running":
        marks += [("Running", since(status.get("startTime"))), ("Ready", since(ready.get("lastTransitionTime")))]
    elif phase != "Pending":
        marks.append((phase, _last_end(status, born)))
    marks.append(("Terminating", since(meta.get("deletionTimestamp"))))
    known = [(state, at) for state, at in marks if at is not None]
    ends = [at for _, at in known[1:]]
    spans += [Span(POD, word, at, end) for (word, at), end in zip(known, [*ends, None], strict=True)]
    for lane, text in containers(pod).items():
        entry = _entry(status, lane)
        for key in ("lastState", "state"):
            state = entry.get(key) or {}
            if "terminated" in state:
                start, end = since(state["terminated"].get("startedAt")), since(state["terminated"].get("finishedAt"))
                spans.append(Span(lane, "running", start or 0.0, end))
                if key == "state":
                    spans.append(Span(lane, text, end or 0.0))
            elif "running" in state:
                spans.append(Span(lane, text, since(state["running"].get("startedAt")) or 0.0))
            elif state:
                spans.append(Span(lane, text, (spans[-1].end or 0.0) if spans[-1].lane == lane else 0.0))
    lanes = dict.fromkeys(span.lane for span in spans)
    return PodLife(meta["name"], tuple(lanes), tuple(spans), now=max(now - born, 0.001), exact=False)


def _entry(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next(entry for key in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
                for entry in status.get(key) or () if entry["name"] == name)


def _last_end(status: Mapping[str, Any], born: float) -> float | None:
    ends = [e["state"]["terminated"].get("finishedAt") for e in status.get("containerStatuses") or ()
            if "terminated" in e.get("state", {})]
    return max((parse_time(end) - born for end in ends if end), default=None)


def told(events: Iterable[Mapping[str, Any]], uid: str, born: float) -> tuple[Told, ...]:
    """A Pod's Events in their order."""
    found = []
    for event in events:
        if event["involvedObject"].get("uid") == uid:
            text = event.get("eventTime") or event.get("firstTimestamp") or event["metadata"]["creationTimestamp"]
            at = max(0.0, parse_time(text) - int(born)) // 1
            container = (event["involvedObject"].get("fieldPath") or "{").partition("{")[2].rstrip("}")
            found.append((at, int(event["metadata"].get("resourceVersion") or 0),
                          Told(at, event.get("reason", ""), event.get("message", ""), container,
                               event.get("count") or 1)))
    return tuple(one for _, _, one in sorted(found, key=lambda entry: entry[:2]))


def fetch(client: Any, name: str, namespace: str, now: float) -> PodLife:
    """The life of a Pod on any cluster.  Raises StatusError 404 if nothing is known of it."""
    try:
        answer = client.transport.request("GET", "/kit/trace", query={"since": "0"})
        records = [Record(**record) for record in answer["records"]]
    except StatusError as error:
        if error.code not in (403, 404):
            raise
        records = []
    life = from_records(records, name, namespace, now)
    mine = [r for r in records if (r.resource, r.namespace, r.name) == ("pods", namespace, name)]
    if life.lanes:
        uid, born = mine[-1].uid, next(r.time for r in mine if r.uid == mine[-1].uid)
    else:
        pod = client.get("pods", namespace, name)
        life, meta = from_status(pod, now), pod["metadata"]
        uid, born = meta["uid"], parse_time(meta["creationTimestamp"])
    events = client.list("events", namespace, field_selector=f"involvedObject.name={name}")["items"]
    return PodLife(life.name, life.lanes, life.spans, told(events, uid, born), life.now, life.exact)
