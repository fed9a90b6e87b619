"""ComponentStatus: deprecated since 1.19, still asked for by `kubectl get cs`."""

from __future__ import annotations

from typing import Any

from kitlib.api import respond
from kitlib.api.call import Call
from kitlib.api.request import Response

NAMES = ("controller-manager", "etcd-0", "scheduler")


def _status(name: str, failure: str | None) -> dict[str, Any]:
    healthy = failure is None or name != "etcd-0"
    condition = {"type": "Healthy", "status": "True" if healthy else "False", "message": "ok" if healthy else failure}
    return {"kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name}, "conditions": [condition]}


def get(call: Call) -> Response:
    if call.name not in NAMES:
        raise call.not_found()
    return respond.obj(call, _status(call.name, call.api.store.failure))


def list_(call: Call) -> Response:
    failure = call.api.store.failure
    return respond.objects(call, [_status(name, failure) for name in NAMES], {})
