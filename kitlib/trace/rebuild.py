"""The same records out of any cluster: what managedFields and Events remember.

A cluster that is not ours keeps no causes.  But every object says who wrote which fields and when
(metadata.managedFields), and Events say what the scheduler and the kubelet did.  Times are whole
seconds there, so steps are ordered by what must come before what.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kitlib.objects.clock import parse_time
from kitlib.objects.errors import StatusError
from kitlib.trace.record import Record, facts

CHILDREN = {"deployments.apps": "replicasets.apps", "replicasets.apps": "pods"}
# kubectl's own managers and everybody unknown stay what they are: clients.
MANAGERS = {"kube-controller-manager": "kube-controller-manager", "kube-scheduler": "kube-scheduler",
            "kubelet": "kubelet"}


def known(client: Any, resource: str, namespace: str, name: str) -> tuple[list[Record], bool]:
    """What a cluster can tell: the embedded one its own records, of everything; any other those of the object and what
    it owns, rebuilt (True)."""
    try:
        answer = client.transport.request("GET", "/kit/trace", query={"since": "0"})
    except StatusError as error:
        if error.code not in (403, 404):
            raise
        return records(client, resource, namespace, name), True
    return [Record(**record) for record in answer["records"]], False


def records(client: Any, resource: str, namespace: str, name: str) -> list[Record]:
    """The records of an object and what it owns.  Raises StatusError if it is not there."""
    found: list[Record] = []
    pending = [(resource, client.get(resource, namespace, name))]
    while pending:
        kind, obj = pending.pop(0)
        found += _of_object(kind, obj)
        child = CHILDREN.get(kind)
        if child:
            uid = obj["metadata"]["uid"]
            pending += [(child, item) for item in client.list(child, namespace)["items"]
                        if any(ref["uid"] == uid for ref in item["metadata"].get("ownerReferences", ()))]
    found.sort(key=lambda record: (record.time, record.revision))
    # Revisions of the past are not known; numbers in order stand for them so that steps keep their order.
    return [Record(number, *[getattr(r, f) for f in _FIELDS]) for number, r in enumerate(found, 1)]


_FIELDS = ("time", "actor", "verb", "resource", "namespace", "name", "uid", "owner", "subresource", "cause", "changes")


def _of_object(resource: str, obj: Mapping[str, Any]) -> list[Record]:
    meta, now = obj["metadata"], facts(resource, obj)
    owner = next((r["uid"] for r in meta.get("ownerReferences", ()) if r.get("controller")), "")
    common = (resource, meta.get("namespace", ""), meta["name"], meta["uid"], owner)
    made = parse_time(meta["creationTimestamp"])
    spec_facts = {k: [None, v] for k, v in now.items() if k in ("wanted", "labels", "clusterIP")}
    entries = sorted(meta.get("managedFields", ()), key=lambda e: e.get("time", ""))
    creator = next((e["manager"] for e in entries if not e.get("subresource")), "client")
    rank = {"deployments.apps": 0, "replicasets.apps": 10, "pods": 20}.get(resource, 30)
    result = [Record(rank, made, _actor(creator, resource), "create", *common, "", 0, spec_facts)]
    if resource == "pods" and "node" in now:
        scheduled = next((c for c in obj["status"].get("conditions", ()) if c["type"] == "PodScheduled"), None)
        at = parse_time(scheduled["lastTransitionTime"]) if scheduled else made
        result.append(Record(rank + 1, at, "kube-scheduler", "create", *common, "binding", 0,
                             {"node": [None, now["node"]]}))
    status = {k: [None, v] for k, v in now.items() if k in ("phase", "ip", "ready", "running", "restarts", "has")}
    writer = next((e for e in reversed(entries) if e.get("subresource") == "status"), None)
    if status and writer:
        on_node = resource == "pods" and "node" in now
        actor = f"kubelet/{now['node']}" if on_node else _actor(writer["manager"], resource)
        result.append(Record(rank + (2 if resource == "pods" else 30), parse_time(writer["time"]), actor, "update",
                             *common, "status", 0, status))
    return result


def _actor(manager: str, resource: str) -> str:
    if manager == "kube-controller-manager":
        return f"{manager}/{ {'pods': 'replicaset', 'replicasets.apps': 'deployment'}.get(resource, 'controller')}"
    return MANAGERS.get(manager, manager)
