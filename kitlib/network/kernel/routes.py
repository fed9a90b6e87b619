"""Routes of ours in one network namespace, changed as the wanted ones change.

The kernel keeps with every route who made it, a number.  Ours is one that nobody in /etc/iproute2/rt_protos has, so
whatever an earlier process left is known again, and taken away first.

Source: ip-route(8), protocol RTPROTO.
"""

from __future__ import annotations

from collections.abc import Mapping

from .shell import NodeShell

PROTOCOL = "107"


class Routes:
    """kind: "" for ways to go on, "local" for what is to be taken as this machine's own."""

    def __init__(self, shell: NodeShell, place: str, kind: str = "") -> None:
        self._shell, self._place, self._kind = shell, place, kind
        self._flush = f"route flush table {'local' if kind else 'main'} proto {PROTOCOL}"
        self._written: dict[str, str] | None = None

    async def change(self, wanted: Mapping[str, str]) -> None:
        """wanted: destination → how to get there.  Raises CommandFailed."""
        before, self._written = self._written, None
        lines = [self._flush] if before is None else []
        before = before or {}
        lines += [f"route del {self._kind} {where} proto {PROTOCOL}" for where in before if where not in wanted]
        lines += [f"route replace {self._kind} {where} proto {PROTOCOL} {how}" for where, how in wanted.items()
                  if before.get(where) != how]
        if lines:
            await self._shell.must(self._place, ["ip", "-batch", "-"], "".join(f"{line}\n" for line in lines))
        self._written = dict(wanted)

    async def clear(self) -> None:
        self.forget()
        await self._shell.must(self._place, ["ip", "-batch", "-"], f"{self._flush}\n")

    def forget(self) -> None:
        """Do not trust what was written."""
        self._written = None
