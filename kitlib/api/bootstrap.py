"""What every cluster has from its first moment: four namespaces, the API's own Service, roles, priority classes.

A real API server makes these in post-start hooks, and repairs them at every start; so does this.  What
is made per namespace (the default ServiceAccount, kube-root-ca.crt) is a controller's work.

Source: k8s.io/kubernetes/pkg/controlplane (instance.go, controller/{kubernetesservice,systemnamespaces}),
plugin/pkg/auth/authorizer/rbac/bootstrappolicy, pkg/registry/scheduling/rest.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from kitlib.api import apiservices
from kitlib.api.auth.bootstrap import cluster_objects, namespaced_objects
from kitlib.api.request import Request, Response, User
from kitlib.api.shapes import shape_of
from kitlib.api.writing import as_stored
from kitlib.objects.clock import rfc3339
from kitlib.objects.meta import new_uid

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

SELF = User("system:apiserver", ("system:masters", "system:authenticated"))
NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
PRIORITY_CLASSES = (
    ("system-cluster-critical", 2_000_000_000,
     "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."),
    ("system-node-critical", 2_000_001_000,
     "Used for system critical pods that must not be moved from their current node."),
)


def ambient_objects(api: ApiServer) -> None:
    """Make what is missing."""
    for name in NAMESPACES:
        _ensure(api, "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for obj in cluster_objects():
        _ensure(api, f"/apis/rbac.authorization.k8s.io/v1/{obj['kind'].lower()}s", obj)
    for obj in namespaced_objects():
        _ensure(api, f"/apis/rbac.authorization.k8s.io/v1/namespaces/{obj['metadata']['namespace']}/"
                f"{obj['kind'].lower()}s", obj)
    for name, value, text in PRIORITY_CLASSES:
        _ensure(api, "/apis/scheduling.k8s.io/v1/priorityclasses", {
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value,
            "description": text})
    _kubernetes_service(api)
    apiservices.follow(api)


def _kubernetes_service(api: ApiServer) -> None:
    """Service and endpoints through which Pods reach this server."""
    config = api.config
    first = str(ipaddress.ip_network(config.service_cidr)[1])
    path = "/api/v1/namespaces/default/services"
    _ensure(api, path, {
        "apiVersion": "v1", "kind": "Service", "metadata": {
            "name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"clusterIP": first, "type": "ClusterIP", "sessionAffinity": "None", "ports": [
            {"name": "https", "port": 443, "protocol": "TCP", "targetPort": config.port}]}})
    ports = [{"name": "https", "port": config.port, "protocol": "TCP"}]
    _put(api, "endpointslices.discovery.k8s.io", {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "metadata": {
            "name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "endpoints": [{"addresses": [config.address], "conditions": {"ready": True}}], "ports": ports})
    _put(api, "endpoints", {
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {
            "name": "kubernetes", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": config.address}], "ports": ports}]})


def _ensure(api: ApiServer, path: str, obj: dict[str, Any]) -> None:
    """Create an object unless it is there."""
    if _send(api, "GET", f"{path}/{obj['metadata']['name']}", None).code == 404:
        _send(api, "POST", path, obj)


def _put(api: ApiServer, resource: str, obj: dict[str, Any]) -> None:
    """Store an object of the namespace default, or bring it up to date: the port may have changed since last time.

    It goes past validation: no endpoint may be at a loopback address, but this server is.
    """
    kind = api.registry.stored(resource)
    assert kind is not None
    made, _, _ = shape_of(kind).decode(obj)
    meta = made["metadata"]
    found = api.store.get(resource, "default", meta["name"])
    if found is None:
        meta.update(namespace="default", uid=new_uid(), creationTimestamp=rfc3339(api.clock.now()))
        if kind.generation:
            meta["generation"] = 1
        api.store.create(resource, "default", meta["name"], as_stored(made))
    elif {**found.obj, "metadata": None} != {**made, "metadata": None}:
        api.store.update(resource, "default", meta["name"], as_stored({**made, "metadata": found.obj["metadata"]}))


def _send(api: ApiServer, method: str, path: str, obj: dict[str, Any] | None) -> Response:
    answer = api.handle(Request(method, path, headers={"user-agent": "kube-apiserver"}, obj=obj, user=SELF))
    assert isinstance(answer, Response)
    if answer.code >= 400 and answer.code != 404:
        raise RuntimeError(f"bootstrap: {method} {path}: {answer.obj.get('message', answer.code)}")
    return answer
