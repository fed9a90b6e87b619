"""ImageLocality: prefer nodes that have the Pod's images already.

Large images count for more; one that only few nodes have counts for less, or all Pods would pile up there.
"""

from __future__ import annotations

from collections.abc import Sequence

from kitlib.scheduler.framework import MAX_SCORE, Plugin, State
from kitlib.scheduler.nodeinfo import NodeInfo
from kitlib.scheduler.podinfo import PodInfo

SMALL, LARGE = 23 * 1024 * 1024, 1000 * 1024 * 1024


class ImageLocality(Plugin):
    name = "ImageLocality"
    weight = 1

    def pre_score(self, state: State, pod: PodInfo, nodes: Sequence[NodeInfo]) -> bool:
        containers = [*pod.spec["containers"], *(pod.spec.get("initContainers") or ())]
        images = [normalized(container["image"]) for container in containers if container.get("image")]
        weighted = {image: sum(image in node.images for node in nodes) / max(1, len(nodes)) for image in images}
        state[self.name] = (images, weighted, len(containers))
        return any(weighted.values())

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> int:
        images, share, containers = state[self.name]
        present = sum(int(node.images[image] * share[image]) for image in images if image in node.images)
        most = LARGE * containers
        return MAX_SCORE * (min(max(present, SMALL), most) - SMALL) // (most - SMALL)


def normalized(image: str) -> str:
    """An image without a tag is :latest."""
    return image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"
