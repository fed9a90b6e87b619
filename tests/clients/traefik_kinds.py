"""What an administrator gives Traefik before it starts: its custom kinds, its rights, its class.

The kinds are those that Traefik 3 watches; their schemas are left open, for what is in them is Traefik's affair.
"""

from __future__ import annotations

from typing import Any

GROUP = "traefik.io"
KINDS = {"ingressroutes": "IngressRoute", "ingressroutetcps": "IngressRouteTCP", "ingressrouteudps": "IngressRouteUDP",
         "middlewares": "Middleware", "middlewaretcps": "MiddlewareTCP", "serverstransports": "ServersTransport",
         "serverstransporttcps": "ServersTransportTCP", "tlsoptions": "TLSOption", "tlsstores": "TLSStore",
         "traefikservices": "TraefikService"}

Object = dict[str, Any]


def definition(plural: str, kind: str) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{GROUP}"},
            "spec": {"group": GROUP, "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
                     "versions": [{"name": "v1alpha1", "served": True, "storage": True,
                                   "schema": {"openAPIV3Schema": schema}}]}}


def rights(namespace: str) -> list[Object]:
    """A ServiceAccount that may look at what is routed, and write nothing but the status of Ingresses."""
    def rule(group: str, resources: list[str], *verbs: str) -> Object:
        return {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}

    rules = [rule("", ["services", "secrets", "nodes", "configmaps", "namespaces"], "get", "list", "watch"),
             rule("discovery.k8s.io", ["endpointslices"], "get", "list", "watch"),
             rule("networking.k8s.io", ["ingresses", "ingressclasses"], "get", "list", "watch"),
             rule("networking.k8s.io", ["ingresses/status"], "update"),
             rule(GROUP, list(KINDS), "get", "list", "watch")]
    name = {"name": "traefik"}
    api = "rbac.authorization.k8s.io"
    return [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**name, "namespace": namespace}},
            {"apiVersion": f"{api}/v1", "kind": "ClusterRole", "metadata": name, "rules": rules},
            {"apiVersion": f"{api}/v1", "kind": "ClusterRoleBinding", "metadata": name,
             "roleRef": {"apiGroup": api, "kind": "ClusterRole", **name},
             "subjects": [{"kind": "ServiceAccount", **name, "namespace": namespace}]}]


# Not `traefik`: Ingresses of that class are the cluster's own controller's.
INGRESS_CLASS: Object = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "beside"},
                         "spec": {"controller": "traefik.io/ingress-controller"}}
