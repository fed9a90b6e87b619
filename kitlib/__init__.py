"""kitlib: a textbook of containers and Kubernetes whose every page runs.

    import kitlib as kit

    cluster = kit.cluster()              an embedded Kubernetes, up in under a second
    kit.kubectl("get pods")              stock kubectl on it
    kit.flow("rs/web")                   who did what because of what
    kit.check("lab09_replicaset_flow")   is the exercise solved?

Importing this module loads nothing but itself: every name below is fetched from its module when it
is first used, so `python3 -m kitlib` works on a bare Python and a notebook starts at once.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "answer": "kitlib.checks.notebook",
    "check": "kitlib.checks.notebook",
    "flow": "kitlib.views.notebook",
    "kubectl": "kitlib.cluster.notebook",
    "pause": "kitlib.cluster.notebook",
    "resume": "kitlib.cluster.notebook",
    "run_controller": "kitlib.cluster.notebook",
    "step": "kitlib.cluster.notebook",
}

__all__ = ["answer", "check", "cluster", "flow", "kubectl", "pause", "resume", "run_controller", "step"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "cluster":
        return import_module("kitlib.cluster")  # the package itself, which can be called
    if name not in _WHERE:
        raise AttributeError(f"module 'kitlib' has no attribute {name!r}")
    found = getattr(import_module(_WHERE[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
