"""API priority and fairness.

Source: pkg/apis/flowcontrol/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]


def _unless_set(obj: Obj, field: str, value: int) -> None:
    """For numbers of which zero means "not set"."""
    if not obj.get(field):
        obj[field] = value


def flow_schema_spec(obj: Obj) -> None:
    _unless_set(obj, "matchingPrecedence", 1000)


def limited(obj: Obj) -> None:
    obj.setdefault("nominalConcurrencyShares", 30)
    obj.setdefault("lendablePercent", 0)


def exempt(obj: Obj) -> None:
    obj.setdefault("nominalConcurrencyShares", 0)
    obj.setdefault("lendablePercent", 0)


def queuing(obj: Obj) -> None:
    _unless_set(obj, "handSize", 8)
    _unless_set(obj, "queues", 64)
    _unless_set(obj, "queueLengthLimit", 50)


HOOKS = {
    "flowcontrol/v1.FlowSchemaSpec": flow_schema_spec, "flowcontrol/v1.LimitedPriorityLevelConfiguration": limited,
    "flowcontrol/v1.ExemptPriorityLevelConfiguration": exempt, "flowcontrol/v1.QueuingConfiguration": queuing,
}
