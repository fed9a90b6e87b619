"""What Docker asks of a runtime beyond the CRI: signals by number, pause, process numbers, full accounts.

Source: Docker Engine API, /containers/{id}/kill, pause, top, stats.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from kitlib.runtime.process.connections import Refused, Reply

if TYPE_CHECKING:
    from kitlib.runtime.process.containers import Container


class BeyondCri:
    """A part of the daemon."""

    def container(self, identity: str) -> Container:
        raise NotImplementedError

    def _running(self, identity: str) -> Container:
        found = self.container(identity)
        if found.state != "CONTAINER_RUNNING":
            raise Refused("NotRunning", f"container is in {found.state} state")
        return found

    def do_signal_container(self, reply: Reply, container: str, number: int) -> None:
        """A signal to its first process; what kills a paused container lets it go on to its end."""
        found = self._running(container)
        found.signal(number)
        if number == signal.SIGKILL and found.paused:
            found.pause(False)
        reply(None)

    def do_pause_container(self, reply: Reply, container: str, paused: bool) -> None:
        self._running(container).pause(paused)
        reply(None)

    def do_container_pids(self, reply: Reply, container: str) -> None:
        """On this machine, not as the container sees them."""
        reply(self._running(container).pids())

    def do_container_accounts(self, reply: Reply, container: str) -> None:
        reply(self._running(container).accounts())

    def do_resize_container(self, reply: Reply, container: str, width: int, height: int) -> None:
        self._running(container).task.resize(width, height)
        reply(None)
