"""PriorityClasses.

Source: pkg/apis/scheduling/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any


def priority_class(obj: dict[str, Any]) -> None:
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")


HOOKS = {"scheduling/v1.PriorityClass": priority_class}
