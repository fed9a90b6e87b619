"""kitlib: a textbook of containers and Kubernetes whose every page runs.

    import kitlib as kit

    cluster = kit.cluster()              an embedded Kubernetes, up in under a second
    kit.engine()                         a Docker Engine: the real one, or else an embedded one
    kit.kubectl("get pods")              stock kubectl on it
    lab = kit.lab("lab09_replicaset_flow")    a chapter: lab.check(...), lab.flow("rs/web"), lab.answer(...)

Importing this module loads nothing but itself: every name below is fetched from its module when it
is first used, so `python3 -m kitlib` works on a bare Python and a notebook starts at once.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "KitError": "kitlib.cluster.errors",
    "allowed": "kitlib.book.boxes",
    "anatomy": "kitlib.book.session",
    "at": "kitlib.book.session",
    "base_image": "kitlib.book.engine",
    "build": "kitlib.book.build",
    "box": "kitlib.book.boxes",
    "certificate": "kitlib.book.door",
    "compare_builds": "kitlib.book.build",
    "curl": "kitlib.book.traffic",
    "dig": "kitlib.book.traffic",
    "flow": "kitlib.book.session",
    "kill_node": "kitlib.cluster.notebook",
    "kubectl": "kitlib.cluster.notebook",
    "lab": "kitlib.book.session",
    "layers": "kitlib.book.layers",
    "load": "kitlib.book.traffic",
    "lsns": "kitlib.book.boxes",
    "namespaces": "kitlib.book.boxes",
    "packet_walk": "kitlib.book.session",
    "passage": "kitlib.book.door",
    "pause": "kitlib.cluster.notebook",
    "plug": "kitlib.book.boxes",
    "policy": "kitlib.book.policy",
    "project": "kitlib.book.build",
    "reach": "kitlib.book.policy",
    "resume": "kitlib.cluster.notebook",
    "rules": "kitlib.book.session",
    "run_controller": "kitlib.cluster.notebook",
    "schedule": "kitlib.book.session",
    "service_map": "kitlib.book.session",
    "start_node": "kitlib.cluster.notebook",
    "step": "kitlib.cluster.notebook",
    "stop_node": "kitlib.cluster.notebook",
    "timeline": "kitlib.book.session",
    "why": "kitlib.book.session",
}

__all__ = [*_WHERE, "cluster", "engine"]  # noqa: PLE0604 (one list of names, not two)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in ("cluster", "engine"):
        return import_module(f"kitlib.{name}")  # the package itself, which can be called
    if name not in _WHERE:
        raise AttributeError(f"module 'kitlib' has no attribute {name!r}")
    found = getattr(import_module(_WHERE[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
