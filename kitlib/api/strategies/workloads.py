"""Deployments, DaemonSets and the other workloads: only small things differ from the common rules.

Source: k8s.io/kubernetes/pkg/registry/apps/*/strategy.go.
"""

from __future__ import annotations

from kitlib.api.call import Call
from kitlib.api.strategies.base import Obj, Strategy

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


class DeploymentStrategy(Strategy):
    """A Deployment's annotations are copied to its ReplicaSets: a change of them has to be observed, too."""

    def spec_changed(self, call: Call, obj: Obj, old: Obj) -> bool:
        return obj.get("spec") != old.get("spec") or (
            obj["metadata"].get("annotations") or {}) != (old["metadata"].get("annotations") or {})


class DaemonSetStrategy(Strategy):
    """A DaemonSet counts the changes of its template in an annotation, as extensions/v1beta1 did in a field."""

    def prepare_create(self, call: Call, obj: Obj) -> None:
        obj["metadata"].setdefault("annotations", {})[TEMPLATE_GENERATION] = "1"

    def prepare_update(self, call: Call, obj: Obj, old: Obj) -> None:
        if call.subresource:
            return
        count = int((old["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION) or 0)
        changed = obj["spec"].get("template") != old["spec"].get("template")
        obj["metadata"].setdefault("annotations", {})[TEMPLATE_GENERATION] = str(count + changed)
