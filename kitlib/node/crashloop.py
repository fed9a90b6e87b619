"""How a kubelet tells that it waits before it starts a container again.

    it ended ──▶ Event BackOff at once ──▶ … a moment, so that the end itself is seen … ──▶ waiting: CrashLoopBackOff

Source: pkg/kubelet/kuberuntime/kuberuntime_manager.go (doBackOff); the moment is seen in the recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .containers import ContainerView, Waiting
from .starting import SHOWN

Say = Callable[[str, str, str, str], None]  # type, reason, message, field path


class CrashLoop:
    """What has been told of one Pod's containers."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._told: dict[str, tuple[int, float]] = {}  # container → (attempt, when to show CrashLoopBackOff)

    def tell(self, pod: Mapping[str, Any], view: ContainerView, delay: float, until: float,
             now: float) -> tuple[Waiting | None, float | None]:
        """What the status shows from now on (None: the end itself, for now), and when to ask again."""
        meta = pod["metadata"]
        text = f"restarting failed container {view.name} in pod {meta['name']}_{meta['namespace']}({meta['uid']})"
        known = self._told.get(view.name)
        if known is None or known[0] != view.restarts:
            known = self._told[view.name] = (view.restarts, min(now + SHOWN, until - 0.05))
            self._say("Warning", "BackOff", f"Back-off {text}", view.field_path)
        if now >= known[1] and not view.running:
            return Waiting("CrashLoopBackOff", f"back-off {_span(delay)} {text}"), None
        return None, known[1]


def _span(seconds: float) -> str:
    """10s, 40s, 2m40s, 5m0s, as Go prints a duration."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
