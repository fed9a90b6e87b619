"""Figures for the slides of lab07: the café's menu merged, and a field handed over.

The owners are computed by the API server's own rules (`kitlib.objects.apply`), so the pictures cannot say anything
that the server would not do.
"""

from __future__ import annotations

from typing import Any

from kitlib.objects.apply import apply
from kitlib.objects.schema.schema import schema_for
from kitlib.views import grid, merge, owners

_WHO = (("platform", {"color": "blue", "size": "3"}), ("app", {"size": "3"}), ("platform", {"color": "blue"}))


def _configmap(name: str, data: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def menu() -> str:
    """The three-way merge of exercise 4."""
    last = {"soup": "tomato", "bread": "rye", "tea": "green", "salad": "potato"}
    live = {"soup": "tomato", "bread": "white", "tea": "green", "cake": "apple"}
    wanted = {"soup": "pumpkin", "bread": "rye", "salad": "potato"}
    made = merge.grid("What kubectl apply does to ConfigMap menu", *(_configmap("menu", data) for data in (
        last, live, wanted, {**wanted, "cake": "apple"})))
    return grid.svg(made, names=190, verdicts=215)


def board(until: str = "3") -> str:
    """Who owns the fields of board after the first, second or third apply of exercise 8."""
    number = int(until)
    if not 1 <= number <= len(_WHO):
        raise ValueError(f"there are steps 1 to {len(_WHO)}")
    live: dict[str, Any] | None = None
    for manager, data in _WHO[:number]:
        live = apply(live, _configmap("board", data), manager, schema_for("", "v1", "ConfigMap").node, time=None)
    assert live is not None
    manager, data = _WHO[number - 1]
    said = ", ".join(f"{key}: {value}" for key, value in data.items())
    return grid.svg(owners.grid(f"ConfigMap board, after {manager} has applied {{{said}}}", live), names=300,
                    verdicts=190)
