"""From records to a story: the talk's pages 106 to 113, as they really happened.

    client → kube-apiserver → etcd → kube-controller-manager → kube-scheduler → kubelet → runtime

A flow starts with one object and follows ownership downwards (Deployment → ReplicaSet → Pod).  What one
actor did to several objects in one go becomes one step: "creates 3 Pods".  The runtime writes nothing
to the API, so its steps are read off what the kubelet reported it did.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from kitlib.trace.record import Record

LANES = ("client", "kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler", "kubelet", "runtime")
GROUP_SECONDS = 0.5  # like acts of one actor within this time are one step

KINDS = {"pods": "Pod", "replicasets.apps": "ReplicaSet", "deployments.apps": "Deployment", "services": "Service",
         "configmaps": "ConfigMap", "secrets": "Secret", "endpointslices.discovery.k8s.io": "EndpointSlice"}
ALIASES = {"po": "pods", "pod": "pods", "rs": "replicasets.apps", "replicaset": "replicasets.apps",
           "replicasets": "replicasets.apps", "deploy": "deployments.apps", "deployment": "deployments.apps",
           "deployments": "deployments.apps", "svc": "services", "service": "services", "cm": "configmaps",
           "configmap": "configmaps"}


@dataclass(frozen=True)
class Step:
    """One step.  at: seconds after the first.  lane: one of LANES.  act: what kind of step, for drawing.

    revisions: those that the step wrote; causes: those that woke its actor.
    """

    number: int
    at: float
    actor: str
    lane: str
    act: str
    text: str
    objects: tuple[str, ...]
    revisions: tuple[int, ...]
    causes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Flow:
    """The steps around one object, and the state that they led to (name → facts) for the picture."""

    target: str
    steps: tuple[Step, ...]
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    rebuilt: bool = False  # put together from managedFields and Events: causes are guesses

    def json(self) -> dict[str, Any]:
        return asdict(self)

    def until(self, number: int) -> Flow:
        """The same story, told only up to a step."""
        return replace(self, steps=tuple(step for step in self.steps if step.number <= number))


class BadTarget(Exception):
    """What was asked for is not KIND/NAME of a kind that flows are drawn for."""


def parse_target(text: str) -> tuple[str, str]:
    """("replicasets.apps", "web") of "rs/web".  Raises BadTarget."""
    kind, slash, name = text.partition("/")
    resource = kind if kind in KINDS else ALIASES.get(kind.lower())
    if not slash or not name or not resource:
        raise BadTarget(f"{text!r} is not KIND/NAME, such as rs/web, deploy/web or pod/web-x7k2p")
    return resource, name


def lane_of(actor: str) -> str:
    """The lane of an actor: `kube-controller-manager/replicaset` belongs to kube-controller-manager."""
    head = actor.partition("/")[0]
    return head if head in LANES else "client"


def build(records: Iterable[Record], target: str, namespace: str, *, rebuilt: bool = False) -> Flow:
    """The flow of "rs/web" in a namespace out of records (in any order; other objects' are ignored)."""
    resource, name = parse_target(target)
    ordered = sorted(records, key=lambda record: record.revision)
    family = {r.uid for r in ordered if (r.resource, r.namespace, r.name) == (resource, namespace, name)}
    mine: list[Record] = []
    for record in ordered:  # an owner is written before what it owns, so one pass finds all generations
        if record.uid in family or record.owner in family:
            family.add(record.uid)
            mine.append(record)
    objects: dict[str, dict[str, Any]] = {}
    for record in mine:
        title = f"{KINDS.get(record.resource, record.resource)}/{record.name}"
        state = objects.setdefault(title, {})
        state.update({key: after for key, (_, after) in record.changes.items()})
        state["revision"] = record.revision
    return Flow(target, tuple(_steps(mine)), objects, rebuilt)


def _steps(records: Sequence[Record]) -> Iterable[Step]:
    groups: list[list[tuple[str, str, Record]]] = []
    for record in records:
        for lane, act in _acts(record):
            # The same act may have been interrupted by another actor's: look back a little.
            for group in reversed(groups[-6:]):
                first, last = group[0][2], group[-1][2]
                same_actor = first.actor == record.actor or lane in ("kubelet", "runtime")
                if (group[0][:2] == (lane, act) and same_actor and first.resource == record.resource
                        and record.time - last.time <= GROUP_SECONDS and record.name not in {g[2].name for g in group}):
                    group.append((lane, act, record))
                    break
            else:
                groups.append([(lane, act, record)])
    started = records[0].time if records else 0.0
    for number, group in enumerate(groups, 1):
        lane, act, first = group[0]
        members = [record for _, _, record in group]
        yield Step(number, round(max(0.0, first.time - started), 4), _who(lane, members), lane, act,
                   _text(act, members),
                   tuple(record.name for record in members),
                   tuple(record.revision for record in members) if lane != "runtime" else (),
                   tuple(sorted({record.cause for record in members if record.cause})))


def _who(lane: str, records: Sequence[Record]) -> str:
    """The actor's name; kubelets that did the same are one line, however many nodes there are."""
    actors = {record.actor for record in records}
    if lane == "kubelet" and len(actors) > 1:
        return f"kubelet on {len(actors)} nodes"
    if lane == "runtime":
        nodes = {actor.partition("/")[2] for actor in actors}
        return f"runtime/{nodes.pop()}" if len(nodes) == 1 else f"runtime on {len(nodes)} nodes"
    return records[0].actor


def _acts(record: Record) -> list[tuple[str, str]]:
    """What one write tells: usually one act; a kubelet's report of a running container tells two."""
    lane, changes = lane_of(record.actor), record.changes
    act = record.verb if record.verb in ("create", "delete") and not record.subresource else "update"
    if changes.get("exists") == [True, False]:
        act = "gone"
    elif record.subresource == "binding" or (lane == "kube-scheduler" and "node" in changes):
        act = "bind"
    elif "deleting" in changes:
        act = "delete"
    elif lane == "kubelet" and "running" in changes:
        act = "running" if changes["running"][1] else "stopped"
        return [("runtime", "start" if act == "running" else "stop"), (lane, act)]
    elif lane == "kubelet":
        act = "report" if "phase" in changes or "ready" in changes else "status"
    elif "wanted" in changes and act == "update":
        act = "scale"
    elif "labels" in changes and act == "update":
        act = "relabel"
    elif {"has", "ready"} & changes.keys() and record.verb != "create":
        act = "count"
    elif record.subresource == "status":
        act = "unschedulable" if lane == "kube-scheduler" else "seen"
    return [(lane, act)]


def tell(record: Record) -> str:
    """What one write did, in words: "assigns Pod web-x7k2p to node-2"."""
    _, act = _acts(record)[-1]
    if act == "status":  # in a flow it is the first of its kind; alone it may be any
        containers = (record.changes.get("containers") or [None, None])[1] or {}
        said = "".join(f", {name} {state}" for name, state in containers.items())
        return f"updates the status of {KINDS.get(record.resource, record.resource)} {record.name}{said}"
    return _text(act, [record])


def _text(act: str, records: Sequence[Record]) -> str:
    first, last = records[0], records[-1]
    kind = KINDS.get(first.resource, first.resource)
    what = f"{kind} {first.name}" if len(records) == 1 else f"{len(records)} {kind}s"
    if act == "create":
        wanted = first.changes.get("wanted")
        return f"creates {what}" + (f" (replicas: {wanted[1]})" if wanted and len(records) == 1 else "")
    if act == "bind":
        nodes = sorted({str(r.changes.get("node", [None, "a node"])[1]) for r in records})
        return f"assigns {what} to {', '.join(nodes)}"
    if act == "scale":
        before, after = first.changes["wanted"]
        return f"scales {what}: {before} → {after}"
    if act == "count":
        return f"counts {_counts(last)} for {what}"
    if act in ("start", "stop"):
        return f"{act}s the containers of {what}" if act == "start" else f"stopped the containers of {what}"
    if act in ("running", "report"):
        phases = {tuple(r.changes["phase"]) for r in records if "phase" in r.changes}
        if len(phases) == 1:
            before, after = phases.pop()
            return f"reports {what}: {before or 'nothing'} → {after}"
        return f"reports {what}: {'ready' if last.changes.get('ready', [0, 0])[1] else 'not ready'}"
    return {"delete": f"deletes {what}", "gone": f"removes {what} from the store",
            "relabel": f"changes labels of {what}", "stopped": f"reports {what}: containers stopped",
            "status": f"notes {what} as accepted", "seen": f"notes that it has seen {what}",
            "unschedulable": f"finds no node for {what}",
            }.get(act, f"updates {what}")


def _counts(record: Record) -> str:
    has, ready = (record.changes.get(key, [None, None])[1] for key in ("has", "ready"))
    parts = [f"{has} Pods" if has is not None else "", f"{ready} ready" if ready is not None else ""]
    return ", ".join(part for part in parts if part) or "0 ready"
