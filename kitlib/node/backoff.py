"""How long to wait before trying the same thing again.

The kubelet has two of these, both from 10 s doubling to 300 s: one for restarting containers
(CrashLoopBackOff), one for pulling images (ImagePullBackOff).  The first failure costs nothing: an
entry is made when the *next* attempt starts, and only a failure after that has to wait.

    die ──▶ restart at once ──▶ die ──▶ 10 s ──▶ die ──▶ 20 s ──▶ die ──▶ 40 s … 300 s

Whoever lived longer than twice the maximum starts from the beginning.
Source: k8s.io/client-go/util/flowcontrol (Backoff), pkg/kubelet/kuberuntime (doBackOff).
"""

from __future__ import annotations

from dataclasses import dataclass, field

INITIAL = 10.0
MAXIMUM = 300.0


@dataclass(slots=True)
class Backoff:
    """Per key: the delay in force and when it was last set.  Times are seconds of the caller's clock."""

    initial: float = INITIAL
    maximum: float = MAXIMUM
    _entries: dict[str, tuple[float, float]] = field(default_factory=dict)

    def remaining(self, key: str, since: float, now: float) -> float:
        """Seconds still to wait after an event (a death, a failed pull) at `since`; 0.0 = go ahead."""
        entry = self._entries.get(key)
        if entry is None or since - entry[1] > 2 * self.maximum:
            return 0.0
        return max(0.0, entry[0] - (now - since))

    def next(self, key: str, since: float, now: float) -> None:
        """Another attempt begins: whatever fails from here on waits longer."""
        entry = self._entries.get(key)
        if entry is None or since - entry[1] > 2 * self.maximum:
            delay = self.initial
        else:
            delay = min(entry[0] * 2, self.maximum)
        self._entries[key] = (delay, now)

    def delay(self, key: str) -> float:
        """The delay in force, 0.0 if there is none."""
        entry = self._entries.get(key)
        return entry[0] if entry else 0.0

    def forget(self, key: str) -> None:
        self._entries.pop(key, None)

    def forget_prefix(self, prefix: str) -> None:
        """Drop all keys of a Pod that is gone."""
        for key in [k for k in self._entries if k.startswith(prefix)]:
            del self._entries[key]
