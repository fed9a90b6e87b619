"""Installing the ingress controller: what there is to install, doing it, undoing it.

Every object carries `app.kubernetes.io/managed-by: kit`; what has the same name and not that label is somebody
else's (k3s brings a Traefik of its own, a platform has Gateway API kinds), and stays as it is.
"""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

from kitlib.client import Client
from kitlib.cluster.errors import KitError
from kitlib.objects.errors import StatusError

Object = dict[str, Any]

NAME = "traefik"  # of the namespace, the Deployment, the Service and the classes
CONTROLLER = "traefik.io/ingress-controller"
MANAGED_BY, KIT = "app.kubernetes.io/managed-by", "kit"
DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
INGRESS_CLASSES, DEPLOYMENTS = "ingressclasses.networking.k8s.io", "deployments.apps"
RESOURCES = {"Namespace": "namespaces", "ServiceAccount": "serviceaccounts", "Service": "services",
             "ClusterRole": "clusterroles.rbac.authorization.k8s.io",
             "ClusterRoleBinding": "clusterrolebindings.rbac.authorization.k8s.io", "Deployment": DEPLOYMENTS,
             "IngressClass": INGRESS_CLASSES, "GatewayClass": "gatewayclasses.gateway.networking.k8s.io",
             "CustomResourceDefinition": "customresourcedefinitions.apiextensions.k8s.io"}  # fmt: skip
INGRESS_CLASS: Object = {
    "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
    "metadata": {"name": NAME, "labels": {MANAGED_BY: KIT}, "annotations": {DEFAULT_CLASS: "true"}},
    "spec": {"controller": CONTROLLER},
}


@cache
def _controller() -> tuple[Object, ...]:
    import yaml  # late: a cluster without an Ingress needs neither this nor the kinds of the Gateway API

    from kitlib.cluster.ingress import gateway_api

    text = Path(__file__).with_name("traefik.yaml").read_text()
    found = (*gateway_api.definitions(), *filter(None, yaml.safe_load_all(text)))
    for obj in found:
        obj["metadata"].setdefault("labels", {})[MANAGED_BY] = KIT
    return found


def controller() -> list[Object]:
    """All but the IngressClass, in the order in which it can be created.  The Deployment, without which nothing runs,
    comes last: where it is, everything is."""
    return copy.deepcopy(list(_controller()))


def manifests() -> list[Object]:
    return [copy.deepcopy(INGRESS_CLASS), *controller()]


def resource_of(obj: Object) -> tuple[str, str, str]:
    """(resource, namespace, name), as `Client` wants them."""
    meta = obj["metadata"]
    return RESOURCES[obj["kind"]], meta.get("namespace", ""), meta["name"]


def is_ours(obj: Object) -> bool:
    return (obj["metadata"].get("labels") or {}).get(MANAGED_BY) == KIT


def find(client: Client, obj: Object) -> Object | None:
    """What the cluster has of that kind and name."""
    try:
        return client.get(*resource_of(obj))
    except StatusError as error:
        if error.code == 404:
            return None
        raise


def install(client: Client) -> list[str]:
    """Bring the cluster to what the manifests say; the names of what is new or was changed.

    Raises KitError where another controller holds our names.
    """
    mine, *rest = manifests()
    there = find(client, mine)
    if there is not None and not is_ours(there):
        raise KitError(f"this cluster has an IngressClass {NAME} already, of somebody else "
                       f"({there['spec'].get('controller')}): Ingresses that name it are that controller's.")
    if there is None and _default_class(client):
        del mine["metadata"]["annotations"][DEFAULT_CLASS]
    done = []
    for obj in (mine, *rest):
        known = find(client, obj)
        if known is not None and not is_ours(known):
            continue
        if known is not None and "deletionTimestamp" in known["metadata"]:
            raise KitError(f"{obj['kind']} {obj['metadata']['name']} is still being deleted; try again in a moment.")
        resource, namespace, name = resource_of(obj)
        if known is not None and obj is mine:
            continue  # whether it is the default is its owner's choice by now
        now = client.patch(resource, namespace, name, obj, kind="apply", force=True)
        if known is None or now["metadata"]["resourceVersion"] != known["metadata"]["resourceVersion"]:
            done.append(f"{obj['kind']} {name}")
    return done


def _default_class(client: Client) -> str:
    """The class that Ingresses without one get now."""
    classes = client.list(INGRESS_CLASSES)["items"]
    marked = [c["metadata"]["name"] for c in classes
              if (c["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"]
    return marked[0] if marked else ""


def uninstall(client: Client) -> list[str]:
    """Delete what `install` made, but for kinds that are in use; the names of what is gone."""
    gone = []
    for obj in reversed(manifests()):
        known = find(client, obj)
        if known is None or not is_ours(known) or _in_use(client, obj):
            continue
        client.delete(*resource_of(obj), propagation="Background")
        gone.append(f"{obj['kind']} {obj['metadata']['name']}")
    return gone


def _in_use(client: Client, obj: Object) -> bool:
    """A kind of which somebody has objects: deleting it would delete them."""
    if obj["kind"] != "CustomResourceDefinition":
        return False
    found = client.list(obj["metadata"]["name"])["items"]
    return any(not is_ours(each) for each in found)
