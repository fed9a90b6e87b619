"""The strategies of all resources, by the store's resource string.  Modules load when first needed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from kitlib.api.strategies.base import Strategy

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

# resource -> module in this package and class; everything else is a plain `Strategy`.
SPECIAL = {
    "pods": ("pods", "PodStrategy"),
    "services": ("services", "ServiceStrategy"),
    "namespaces": ("namespaces", "NamespaceStrategy"),
    "nodes": ("nodes", "NodeStrategy"),
    "secrets": ("secrets", "SecretStrategy"),
    "persistentvolumeclaims": ("storage", "ClaimStrategy"),
    "persistentvolumes": ("storage", "VolumeStrategy"),
    "deployments.apps": ("workloads", "DeploymentStrategy"),
    "daemonsets.apps": ("workloads", "DaemonSetStrategy"),
    "jobs.batch": ("jobs", "JobStrategy"),
    "roles.rbac.authorization.k8s.io": ("rbac", "RoleStrategy"),
    "clusterroles.rbac.authorization.k8s.io": ("rbac", "RoleStrategy"),
    "rolebindings.rbac.authorization.k8s.io": ("rbac", "BindingStrategy"),
    "clusterrolebindings.rbac.authorization.k8s.io": ("rbac", "BindingStrategy"),
    "certificatesigningrequests.certificates.k8s.io": ("certificates", "SigningRequestStrategy"),
    "customresourcedefinitions.apiextensions.k8s.io": ("definitions", "DefinitionStrategy"),
    "podtemplates": ("base", "ReturnsDeleted"),
    "resourcequotas": ("base", "ReturnsDeleted"),
    "serviceaccounts": ("base", "ReturnsDeleted"),
    "storageclasses.storage.k8s.io": ("base", "ReturnsDeleted"),
    "csidrivers.storage.k8s.io": ("base", "ReturnsDeleted"),
    "csinodes.storage.k8s.io": ("base", "ReturnsDeleted"),
    "volumeattachments.storage.k8s.io": ("base", "ReturnsDeleted"),
}


class Strategies(dict[str, Strategy]):
    """Strategies made on demand."""

    def __init__(self, api: ApiServer) -> None:
        super().__init__()
        self.api = api

    def __missing__(self, storage: str) -> Strategy:
        cls = Strategy
        if storage in SPECIAL:
            module, name = SPECIAL[storage]
            cls = getattr(import_module(f"{__name__}.{module}"), name)
        elif (kind := self.api.registry.stored(storage)) is not None and kind.custom:
            cls = import_module(f"{__name__}.custom").CustomStrategy
        strategy = self[storage] = cls(self.api, storage)
        return strategy


def strategies(api: ApiServer) -> Strategies:
    return Strategies(api)
