"""Namespaces: a second list of finalizers, and two phases.

`spec.finalizers` holds "kubernetes" until the namespace controller has emptied the namespace; it is
written by the subresource /finalize only.  DELETE makes the phase Terminating; from then on nothing
can be created inside (admission, NamespaceLifecycle).

Source: k8s.io/kubernetes/pkg/registry/core/namespace/{strategy.go,storage}.
"""

from __future__ import annotations

from kitlib.api.call import Call
from kitlib.api.strategies.base import Obj, Strategy

FINALIZER = "kubernetes"
NAME_LABEL = "kubernetes.io/metadata.name"
IMMORTAL = ("default", "kube-system", "kube-public")


class NamespaceStrategy(Strategy):
    """The strategy of Namespaces."""

    def initial_status(self, call: Call, obj: Obj) -> None:
        obj["status"] = {"phase": "Active"}

    def prepare_create(self, call: Call, obj: Obj) -> None:
        finalizers = obj.setdefault("spec", {}).setdefault("finalizers", [])
        if FINALIZER not in finalizers:
            finalizers.append(FINALIZER)
        self._label(obj)

    def prepare_update(self, call: Call, obj: Obj, old: Obj) -> None:
        if call.subresource != "finalize":
            obj["spec"] = old.get("spec", {})
        self._label(obj)

    def prepare_status(self, call: Call, obj: Obj, old: Obj) -> None:
        self._label(obj)

    @staticmethod
    def _label(obj: Obj) -> None:
        """The label that lets a NetworkPolicy select a namespace by its name."""
        if obj["metadata"].get("name"):  # without one, validation will have something to say
            obj["metadata"].setdefault("labels", {})[NAME_LABEL] = obj["metadata"]["name"]

    def check_delete(self, call: Call, obj: Obj) -> None:
        if obj["metadata"]["name"] in IMMORTAL:
            raise call.forbidden("this namespace may not be deleted", obj["metadata"]["name"])

    def ends(self, obj: Obj) -> bool:
        return not obj.get("spec", {}).get("finalizers")

    def mark(self, call: Call, obj: Obj) -> None:
        obj["status"] = {**obj.get("status", {}), "phase": "Terminating"}
