"""ServiceAccount: every namespace has the account `default`, which its Pods use unless they name another.

Source: k8s.io/kubernetes/pkg/controller/serviceaccount/serviceaccounts_controller.go.
"""

from __future__ import annotations

from typing import Any

from kitlib.client.actions import Action, Create
from kitlib.client.controller import Controller

Object = dict[str, Any]

DEFAULT = "default"


class ServiceAccount(Controller):
    name = "serviceaccount"
    resource = "namespaces"
    reads = ("serviceaccounts",)
    component = "service-account-controller"

    def setup(self) -> None:
        self.watch("serviceaccounts", lambda account: (account["metadata"]["namespace"],))

    def observe(self, key: str) -> tuple[Object, bool] | None:
        """(the namespace, whether the account is there)."""
        namespace = self.get(key)
        if namespace is None:
            return None
        return namespace, self.cache("serviceaccounts").get(f"{key}/{DEFAULT}") is not None

    def diff(self, observed: tuple[Object, bool]) -> list[Action]:
        namespace, there = observed
        if there or namespace["status"].get("phase") == "Terminating":
            return []
        return [Create("serviceaccounts", {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {
            "name": DEFAULT, "namespace": namespace["metadata"]["name"]}})]
