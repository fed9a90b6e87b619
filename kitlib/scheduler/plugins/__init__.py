"""The default plugins, each in a file of its own, with their real names, order and weights.

Source: k8s.io/kubernetes/pkg/scheduler/apis/config/v1/default_plugins.go.
"""

from __future__ import annotations

from kitlib.scheduler.framework import Plugin
from kitlib.scheduler.plugins.balanced_allocation import BalancedAllocation
from kitlib.scheduler.plugins.image_locality import ImageLocality
from kitlib.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from kitlib.scheduler.plugins.listers import Listers
from kitlib.scheduler.plugins.node_affinity import NodeAffinity
from kitlib.scheduler.plugins.node_name import NodeName
from kitlib.scheduler.plugins.node_ports import NodePorts
from kitlib.scheduler.plugins.node_resources_fit import NodeResourcesFit
from kitlib.scheduler.plugins.node_unschedulable import NodeUnschedulable
from kitlib.scheduler.plugins.pod_topology_spread import PodTopologySpread
from kitlib.scheduler.plugins.taint_toleration import TaintToleration
from kitlib.scheduler.plugins.volume_binding import VolumeBinding


def default_plugins(listers: Listers | None = None) -> list[Plugin]:
    """listers: what plugins look up beside Pods and nodes (namespaces, owners' selectors)."""
    listers = listers or Listers()
    return [NodeUnschedulable(), NodeName(), TaintToleration(), NodeAffinity(), NodePorts(), NodeResourcesFit(),
            VolumeBinding(listers), PodTopologySpread(listers), InterPodAffinity(listers), BalancedAllocation(),
            ImageLocality()]
