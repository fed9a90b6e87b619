"""metrics.k8s.io: how much CPU and memory nodes and Pods use, as `kubectl top` and the autoscaler read it.

On a real cluster an extra server (metrics-server) asks every kubelet and serves this group through the
aggregation layer.  Here the node package measures; `ApiServer.metrics_provider(plural, namespace)` gives
its objects.

Source: k8s.io/metrics/pkg/apis/metrics/v1beta1.
"""

from __future__ import annotations

from typing import Any

from kitlib.api import respond
from kitlib.api.call import Call
from kitlib.api.request import Response
from kitlib.api.selection import selection


def _measured(call: Call) -> list[dict[str, Any]]:
    provider = call.api.metrics_provider
    return list(provider(call.kind.plural, call.namespace)) if provider else []


def get(call: Call) -> Response:
    for item in _measured(call):
        if item["metadata"]["name"] == call.name:
            return respond.obj(call, item)
    raise call.not_found()


def list_(call: Call) -> Response:
    selected = selection(call)
    return respond.objects(call, [item for item in _measured(call) if selected.matches(item)], {})
