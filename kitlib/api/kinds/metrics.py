"""metrics.k8s.io: what Nodes and Pods use right now.  On a real cluster the metrics server answers here.

Source: k8s.io/metrics/pkg/apis/metrics/v1beta1; kubernetes-sigs/metrics-server.
"""

from __future__ import annotations

from kitlib.api.kind import Kind

GROUP = "metrics.k8s.io"

KINDS = (
    Kind(GROUP, "v1beta1", "NodeMetrics", "nodes", namespaced=False, verbs=("get", "list"), virtual=True),
    Kind(GROUP, "v1beta1", "PodMetrics", "pods", verbs=("get", "list"), virtual=True),
)
