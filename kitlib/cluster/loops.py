"""Which control loops a cluster runs: kube-controller-manager's controllers, and the scheduler.

They are all `Controller`s and share one Manager, hence one cache per kind; what makes the scheduler a
component of its own is the name in which it speaks to the API.
"""

from __future__ import annotations

from kitlib.client import Controller
from kitlib.controllers.deployment import Deployment
from kitlib.controllers.replicaset import ReplicaSet

MANAGER = "kube-controller-manager"


def control_loops() -> list[tuple[Controller, str]]:
    """Each loop with its User-Agent."""
    controllers: list[Controller] = [ReplicaSet(), Deployment()]
    return [(controller, f"{MANAGER}/{controller.name}") for controller in controllers]
