"""From a resource to its URL.

kitlib names a resource by one string: `pods`, `replicasets.apps`, `widgets.example.com`: the plural, a dot and
the API group; the core group has no name.  A URL also needs the version, and that is not a matter of taste: for
the built-in groups it is fixed here, for others (CRDs, aggregated APIs) the server is asked which one it prefers.

    pods                     /api/v1/namespaces/NS/pods/NAME
    deployments.apps         /apis/apps/v1/namespaces/NS/deployments/NAME/scale
    nodes                    /api/v1/nodes/NAME                    (cluster scoped: no namespace)

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
"""

from __future__ import annotations

BUILTIN_VERSIONS = {
    "": "v1",
    "admissionregistration.k8s.io": "v1",
    "apiextensions.k8s.io": "v1",
    "apiregistration.k8s.io": "v1",
    "apps": "v1",
    "authentication.k8s.io": "v1",
    "authorization.k8s.io": "v1",
    "autoscaling": "v2",
    "batch": "v1",
    "certificates.k8s.io": "v1",
    "coordination.k8s.io": "v1",
    "discovery.k8s.io": "v1",
    "events.k8s.io": "v1",
    "flowcontrol.apiserver.k8s.io": "v1",
    "metrics.k8s.io": "v1beta1",
    "networking.k8s.io": "v1",
    "node.k8s.io": "v1",
    "policy": "v1",
    "rbac.authorization.k8s.io": "v1",
    "scheduling.k8s.io": "v1",
    "storage.k8s.io": "v1",
}


def split_resource(resource: str) -> tuple[str, str]:
    """(plural, group): "replicasets.apps" → ("replicasets", "apps"), "pods" → ("pods", "")."""
    plural, _, group = resource.partition(".")
    return plural, group


def api_version(group: str, version: str) -> str:
    """What an object of that group says in `apiVersion`: "v1", "apps/v1"."""
    return f"{group}/{version}" if group else version


def resource_path(resource: str, version: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """The path of a collection (no name), an object, or one of its subresources."""
    plural, group = split_resource(resource)
    parts = ["", "apis", group, version] if group else ["", "api", version]
    if namespace:
        parts += ["namespaces", namespace]
    parts.append(plural)
    if name:
        parts.append(name)
        if subresource:
            parts.append(subresource)
    return "/".join(parts)


CLUSTER_SCOPED = frozenset({
    "nodes", "namespaces", "persistentvolumes", "storageclasses.storage.k8s.io", "priorityclasses.scheduling.k8s.io",
    "runtimeclasses.node.k8s.io", "csinodes.storage.k8s.io", "volumeattachments.storage.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io", "certificatesigningrequests.certificates.k8s.io",
    "clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io",
    "ingressclasses.networking.k8s.io", "apiservices.apiregistration.k8s.io",
})
