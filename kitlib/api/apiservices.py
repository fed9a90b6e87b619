"""APIServices: the aggregation layer's list of who serves which group version.

Here always this server ("Local"); on a real cluster metrics-server, for one, has an APIService that names its
Service.  The built-in group versions are registered at the start; those of CustomResourceDefinitions come and
go with them.  What somebody else has put under such a name stays as it is.

Source: k8s.io/kube-aggregator/pkg/controllers/autoregister;
k8s.io/kubernetes/pkg/controlplane/{apiserver/aggregator.go,controller/crdregistration}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitlib.api.shapes import shape_of
from kitlib.api.writing import as_stored
from kitlib.objects.clock import rfc3339
from kitlib.objects.meta import new_uid

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

GROUP = "apiregistration.k8s.io"  # the one group that the aggregator serves itself, and does not register
RESOURCE = f"apiservices.{GROUP}"
AUTOMANAGED = "kube-aggregator.kubernetes.io/automanaged"
AT_START, WITH_DEFINITION = "onstart", "true"
CUSTOM_PRIORITY = (1000, 100)
# group -> its priority among the groups; a version's is 15 but for these
GROUP_PRIORITIES = {
    "": 18000, "apps": 17800, "events.k8s.io": 17750, "authentication.k8s.io": 17700, "authorization.k8s.io": 17600,
    "autoscaling": 17500, "batch": 17400, "certificates.k8s.io": 17300, "networking.k8s.io": 17200, "policy": 17100,
    "rbac.authorization.k8s.io": 17000, "storage.k8s.io": 16800, "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700, "scheduling.k8s.io": 16600, "coordination.k8s.io": 16500,
    "node.k8s.io": 16300, "discovery.k8s.io": 16200, "flowcontrol.apiserver.k8s.io": 16100, "metrics.k8s.io": 100}
VERSION_PRIORITIES = {("", "v1"): 1, ("autoscaling", "v2"): 30, ("flowcontrol.apiserver.k8s.io", "v1"): 21,
                      ("metrics.k8s.io", "v1beta1"): 100}


def follow(api: ApiServer) -> None:
    """Register what is served and is not registered yet, and take out what definitions have stopped to serve."""
    store = api.store
    served = {f"{version}.{group.name}": (group.name, version) for group in api.registry.groups()
              if group.name != GROUP for version in group.versions}
    for name, (group, version) in served.items():
        if store.get(RESOURCE, "", name) is None:
            store.create(RESOURCE, "", name, _local(api, name, group, version))
    for entry in store.list(RESOURCE):
        labels = entry.obj["metadata"].get("labels") or {}
        if labels.get(AUTOMANAGED) == WITH_DEFINITION and entry.key.name not in served:
            store.delete(*entry.key)


def _local(api: ApiServer, name: str, group: str, version: str) -> dict[str, Any]:
    built_in, priorities = group in GROUP_PRIORITIES, CUSTOM_PRIORITY
    if built_in:
        priorities = GROUP_PRIORITIES[group], VERSION_PRIORITIES.get((group, version), 15)
    now = rfc3339(api.clock.now())
    kind = api.registry.stored(RESOURCE)
    assert kind is not None
    obj, _, _ = shape_of(kind).decode({
        "metadata": {"name": name, "uid": new_uid(), "creationTimestamp": now,
                     "labels": {AUTOMANAGED: AT_START if built_in else WITH_DEFINITION}},
        "spec": {"group": group, "version": version, "groupPriorityMinimum": priorities[0],
                 "versionPriority": priorities[1]},
        "status": {"conditions": [{"type": "Available", "status": "True", "lastTransitionTime": now, "reason": "Local",
                                   "message": "Local APIServices are always available"}]}})
    return as_stored(obj)
