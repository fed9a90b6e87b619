"""Records: one line per write, with the few facts a learner wants to see change.

A real API server has an audit log; it says who, when and what, but not why.  A `Record` adds `cause`:
the revision whose watch event woke the writer (0: a person), and `changes`: what became different,
of those fields that the book talks about.

    {revision: 43, actor: "kube-scheduler", verb: "create", resource: "pods", name: "web-x7k2p",
     subresource: "binding", cause: 42, changes: {"node": [null, "node-2"]}}

Leases and Events are left out: they are heartbeat and commentary, and would bury the story.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

LIMIT = 20_000  # records kept; about 10 MB
SILENT = frozenset({"leases.coordination.k8s.io", "events", "events.events.k8s.io", "nodes"})


@dataclass(frozen=True, slots=True)
class Record:
    """One write.  time: seconds since 1970.  owner: uid of the object's controller, or "".

    changes: fact → [before, after].
    """

    revision: int
    time: float
    actor: str
    verb: str
    resource: str
    namespace: str
    name: str
    uid: str
    owner: str = ""
    subresource: str = ""
    cause: int = 0
    changes: dict[str, list[Any]] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        return asdict(self)


def facts(resource: str, obj: Mapping[str, Any]) -> dict[str, Any]:
    """The few fields of an object that the figures show.  Absent ones are left out."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    found: dict[str, Any] = {}
    if resource == "pods":
        found = {"node": spec.get("nodeName"), "phase": status.get("phase"), "ip": status.get("podIP"),
                 "ready": _condition(status, "Ready"),
                 "running": sum("running" in c.get("state", ()) for c in status.get("containerStatuses", ())) or None,
                 "restarts": sum(c.get("restartCount", 0) for c in status.get("containerStatuses", ())) or None,
                 "containers": containers(obj) or None}
    elif resource in ("replicasets.apps", "deployments.apps"):
        found = {"wanted": spec.get("replicas"), "has": status.get("replicas"), "ready": status.get("readyReplicas")}
    elif resource == "services":
        found = {"clusterIP": spec.get("clusterIP")}
    elif resource == "endpointslices.discovery.k8s.io":
        ready = [e for e in obj.get("endpoints") or () if (e.get("conditions") or {}).get("ready")]
        found = {"endpoints": len(ready)}
    if "deletionTimestamp" in obj["metadata"]:
        found["deleting"] = True
    labels = obj["metadata"].get("labels")
    if labels and resource == "pods":
        found["labels"] = dict(labels)
    return {key: value for key, value in found.items() if value is not None}


def containers(pod: Mapping[str, Any]) -> dict[str, str]:
    """How each container of a Pod is, in the order of their lives: `waiting REASON`, `running`, `ready`, `exited CODE`.

    A container that went through another run since the last look says so by its number: `running 2`.
    """
    status, found = pod.get("status") or {}, {}
    for field_name in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for entry in status.get(field_name) or ():
            state, runs = entry.get("state") or {}, entry.get("restartCount", 0)
            if "running" in state:
                text = ("ready" if entry.get("ready") else "running") + (f" {runs + 1}" if runs else "")
            elif "terminated" in state:
                text = f"exited {state['terminated'].get('exitCode', '?')}"
            else:
                text = f"waiting {(state.get('waiting') or {}).get('reason', '')}".strip()
            found[entry["name"]] = text
    return found


def _condition(status: Mapping[str, Any], type_: str) -> bool | None:
    for condition in status.get("conditions", ()):
        if condition.get("type") == type_:
            return condition.get("status") == "True" or None
    return None


def _controller(obj: Mapping[str, Any]) -> str:
    for reference in obj["metadata"].get("ownerReferences", ()):
        if reference.get("controller"):
            return reference["uid"]
    return ""


class Recorder:
    """Keeps the newest records.  lookup(resource, namespace, name) gives the object after the write, or None."""

    def __init__(self, lookup: Callable[[str, str, str], Mapping[str, Any] | None]) -> None:
        self._lookup = lookup
        self._records: deque[Record] = deque(maxlen=LIMIT)
        self._facts: dict[str, tuple[dict[str, Any], str]] = {}  # uid → (facts, owner)

    def on_write(self, write: Any) -> None:
        """The API server's hook: called after each write with an `api.server.Write`."""
        if write.resource in SILENT or not write.revision:
            return
        before, owner = self._facts.get(write.uid, ({}, ""))
        obj = self._lookup(write.resource, write.namespace, write.name)
        if obj is None or obj["metadata"].get("uid") != write.uid:
            self._facts.pop(write.uid, None)
            after: dict[str, Any] = {}
            changes: dict[str, list[Any]] = {"exists": [True, False]}
        else:
            after, owner = facts(write.resource, obj), _controller(obj)
            self._facts[write.uid] = after, owner
            changes = {key: [before.get(key), after.get(key)] for key in {**before, **after}
                       if before.get(key) != after.get(key)}
        self._records.append(Record(write.revision, write.time, write.actor, write.verb, write.resource,
                                    write.namespace, write.name, write.uid, owner, write.subresource, write.cause,
                                    changes))

    def since(self, revision: int = 0) -> list[Record]:
        """The records after a revision, oldest first."""
        newer = []
        for record in reversed(self._records):
            if record.revision <= revision:
                break
            newer.append(record)
        return newer[::-1]
