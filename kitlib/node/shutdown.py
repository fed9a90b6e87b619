"""A node that is switched off in an orderly way: what becomes of its Pods, and in which order.

    Node Ready=False "node is shutting down" ──▶ ordinary Pods ──▶ critical Pods (priority ≥ 2,000,000,000) ──▶ off
    new Pods are refused meanwhile               Failed, reason Terminated; their controllers make others elsewhere

Source: pkg/kubelet/nodeshutdown (podManager.killPods); KEP-2000.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .lifecycle import Finish

SECONDS, CRITICAL = 30.0, 10.0  # shutdownGracePeriod, shutdownGracePeriodCriticalPods
SLACK = 5.0                     # a container that ignores everything is killed, and that takes a moment
CRITICAL_PRIORITY = 2_000_000_000
NODE_MESSAGE = "node is shutting down"
REJECTED = Finish("NodeShutdown", "Pod was rejected as the node is shutting down.", event="Warning")


def terminated(grace: float) -> Finish:
    """How a Pod of such a node ends; grace in seconds."""
    return Finish("Terminated", "Pod was terminated in response to imminent node shutdown.", event="",
                  disrupted=True, grace=grace)


def order(pods: Sequence[Mapping[str, Any]], seconds: float, critical: float) -> Iterator[tuple[list[str], float]]:
    """(uids, grace in seconds), ordinary Pods first."""
    def is_critical(pod: Mapping[str, Any]) -> bool:
        return (pod["spec"].get("priority") or 0) >= CRITICAL_PRIORITY

    for wanted, grace in ((False, max(0.0, seconds - critical)), (True, min(seconds, critical))):
        batch = [pod["metadata"]["uid"] for pod in pods if is_critical(pod) is wanted]
        if batch:
            yield batch, grace
