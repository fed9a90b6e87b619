"""Root CA publisher: every namespace has the ConfigMap `kube-root-ca.crt`.

It is mounted into every Pod beside its token: so a program in a Pod can check that the API server it talks to is the
real one.

Source: k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher/publisher.go.
"""

from __future__ import annotations

from typing import Any

from kitlib.client.actions import Action, Create, Update
from kitlib.client.controller import Controller

Object = dict[str, Any]

NAME = "kube-root-ca.crt"
DESCRIPTION = {"kubernetes.io/description": (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters.")}


class RootCA(Controller):
    """ca: the PEM text to publish."""

    name = "root-ca"
    resource = "namespaces"
    reads = ("configmaps",)
    component = "root-ca-certificate-publisher-controller"

    def __init__(self, ca: str) -> None:
        self._data = {"ca.crt": ca}

    def setup(self) -> None:
        self.watch("configmaps", lambda m: (m["metadata"]["namespace"],) if m["metadata"]["name"] == NAME else ())

    def observe(self, key: str) -> tuple[Object, Object | None] | None:
        """(the namespace, the ConfigMap if it is there)."""
        namespace = self.get(key)
        return None if namespace is None else (namespace, self.cache("configmaps").get(f"{key}/{NAME}"))

    def diff(self, observed: tuple[Object, Object | None]) -> list[Action]:
        namespace, known = observed
        if namespace["status"].get("phase") == "Terminating":
            return []
        if known is None:
            meta = {"name": NAME, "namespace": namespace["metadata"]["name"], "annotations": DESCRIPTION}
            return [Create("configmaps", {"kind": "ConfigMap", "apiVersion": "v1", "metadata": meta,
                                          "data": self._data})]
        if known.get("data") != self._data:
            return [Update("configmaps", known | {"data": self._data})]
        return []
