"""What the scheduler thought about a Pod, as far as this cluster tells.

The embedded cluster's scheduler keeps its last 200 decisions.  A real kube-scheduler keeps none: what is left of its
thoughts is the Event that it wrote.
"""

from __future__ import annotations

from typing import Any

from kitlib.client.client import Client
from kitlib.cluster.errors import KitError
from kitlib.objects.errors import StatusError


def newest(client: Client, target: str, namespace: str) -> dict[str, Any]:
    """The last decision about "web" or "pod/web" (scheduler/decision.py has the form).  KitError: why there is none."""
    kind, _, name = target.rpartition("/")
    if kind not in ("", "pod", "pods", "po"):
        raise KitError(f"{target}: only Pods are scheduled; which Pod of it?")
    key = f"{namespace}/{name}"
    try:
        found = client.transport.request("GET", "/kit/decisions", query={"pod": key})["decisions"]
    except StatusError as error:
        if error.code not in (403, 404):
            raise
        raise KitError("this cluster's scheduler does not tell its thoughts, it only writes Events. "
                       f"{said(client, key)}") from error
    if found:
        return dict(found[-1])
    try:
        pod = client.get("pods", namespace, name)
    except StatusError as error:
        raise KitError(error.message) from error
    raise KitError(f"no decision about Pod {key}: {_why(pod)}")


def said(client: Client, key: str) -> str:
    """The scheduler's last Event about a Pod."""
    namespace, _, name = key.partition("/")
    events = [event for event in client.list("events", namespace)["items"]
              if event["involvedObject"].get("name") == name
              and event.get("reason") in ("Scheduled", "FailedScheduling")]
    if not events:
        return f"There is none about Pod {key}."
    return f"The last about Pod {key}: {events[-1]['message']}"


def _why(pod: dict[str, Any]) -> str:
    spec = pod["spec"]
    gates = [gate["name"] for gate in spec.get("schedulingGates") or ()]
    if gates:
        return f"its scheduling gates hold it back: {', '.join(gates)}."
    profile = spec.get("schedulerName") or "default-scheduler"
    if profile != "default-scheduler":
        return f"it is {profile!r}'s to decide, which keeps its own diary."
    if spec.get("nodeName"):
        return (f"it is on {spec['nodeName']}, but the scheduler keeps only its last 200 decisions, and none of before "
                "its start; or somebody wrote spec.nodeName into the manifest and the scheduler was never asked.")
    return "the scheduler has not come to it yet; is it paused? `kit pause` lists."
