"""Printer columns: what `kubectl get` shows of each kind.

kubectl does not know how to print a Pod.  It asks the API server for a `Table`, and the server decides
which columns there are and what stands in them (`kubectl get` shows priority 0, `-o wide` the rest).
One module per family of kinds declares them:

    @prints("apps", "ReplicaSet", NAME, Column("Desired", "integer"), ..., AGE)
    def replica_set(obj, now): return [cell, cell, ...]

Source: pkg/printers/internalversion/printers.go; k8s.io/apiserver/pkg/registry/rest/table.go.
"""

from __future__ import annotations

from functools import lru_cache

from kitlib.api.columns.printer import PRINTERS, Printer
from kitlib.api.kind import Kind


@lru_cache(maxsize=1)
def _load() -> dict[tuple[str, str], Printer]:
    # The modules register themselves; loading them waits until somebody wants a table.
    from kitlib.api.columns import access, admission, cluster, network, pods, storage, workloads

    assert all((access, admission, cluster, network, pods, storage, workloads))
    return PRINTERS


def printer_of(kind: Kind) -> Printer:
    """How objects of this kind are shown."""
    if kind.custom is not None:
        from kitlib.api.columns.custom import custom_printer

        return custom_printer(kind)
    from kitlib.api.columns.printer import DEFAULT

    return _load().get((kind.group, kind.kind), DEFAULT)
