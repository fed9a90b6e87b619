"""Where a lab runs: one `Cluster` interface, and what stands behind it.

Kubernetes itself has no word for this; kind, minikube and k3d are its neighbours.  A lab never asks
which backend it is on.  Here is the embedded one: a background process per named cluster.

    interface.py   what every backend can do
    embedded.py    start, find again and stop the background process
    process.py     that process: store, API, controllers, scheduler and nodes on one event loop
    home.py        where everything of a cluster lies on disk
    pki.py, kubeconfig.py    who may log in, and how
    kitapi.py      the /kit/ paths: what a learner may ask that no real API server offers
    find.py        which cluster is meant

This package wires all others together; only `cli` and `grading` import it.  A lab says `kit.cluster()`, and
`kit.cluster` is this package: so the package can be called.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """`kit.cluster(...)`: start the lab's cluster, or find it (see notebook.py)."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from kitlib.cluster.notebook import cluster

        return cluster(*args, **options)


sys.modules[__name__].__class__ = _Callable
