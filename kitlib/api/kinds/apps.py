"""apps: what keeps Pods running.

Source: pkg/registry/apps/rest/storage_apps.go.
"""

from __future__ import annotations

from kitlib.api.kind import STATUS, Kind, SelectableField, scale

ALL = ("all",)

KINDS = (
    Kind("apps", "v1", "ControllerRevision", "controllerrevisions"),
    Kind("apps", "v1", "DaemonSet", "daemonsets", short_names=("ds",), categories=ALL, generation=True,
         subresources=(STATUS,)),
    # The Scale of these shows its selector as text, made from spec.selector.
    Kind("apps", "v1", "Deployment", "deployments", short_names=("deploy",), categories=ALL, generation=True,
         subresources=(scale(), STATUS)),
    Kind("apps", "v1", "ReplicaSet", "replicasets", short_names=("rs",), categories=ALL, generation=True,
         subresources=(scale(), STATUS)),
    Kind("apps", "v1", "StatefulSet", "statefulsets", short_names=("sts",), categories=ALL, generation=True,
         subresources=(scale(), STATUS), selectable=(SelectableField("status.successful"),)),
)
