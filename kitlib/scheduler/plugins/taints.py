"""Taints and tolerations: a node says "not everybody", a Pod says "I may".

Source: k8s.io/component-helpers/scheduling/corev1 (helpers.go), api/core/v1/toleration.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Taint = Mapping[str, Any]
Toleration = Mapping[str, Any]


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """An empty effect covers all effects, an empty key (with Exists) all keys."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    return operator == "Equal" and (toleration.get("value") or "") == (taint.get("value") or "")


def untolerated(taints: Iterable[Taint], tolerations: Iterable[Toleration], effects: Sequence[str]) -> list[Taint]:
    """The taints of these effects that no toleration covers."""
    tolerations = list(tolerations)
    return [taint for taint in taints if taint.get("effect") in effects
            and not any(tolerates(toleration, taint) for toleration in tolerations)]
