"""ReplicationController: the ReplicaSet's ancestor.

Only the resource and the form of the selector (a plain map of labels) differ; the loop is the ReplicaSet's.

Source: k8s.io/kubernetes/pkg/controller/replication/replication_controller.go, which is an adapter as well.
"""

from __future__ import annotations

from typing import Any

from kitlib.controllers.replicaset import ReplicaSet
from kitlib.objects.selectors import LabelSelector

Object = dict[str, Any]


class ReplicationController(ReplicaSet):
    name = "replicationcontroller"
    resource = "replicationcontrollers"
    component = "replication-controller"

    def selector(self, rs: Object) -> LabelSelector:
        return LabelSelector.of_labels(rs["spec"].get("selector") or {})
