"""The power button of a node: switch it off in order, pull the plug, switch it on again.

    running ──stop──▶ stopping ──▶ stopped      its Pods end by their grace periods and say why (node/shutdown.py)
       │                              ▲
       ├──────kill────────────────────┘         its processes die now; nobody tells the API: the Lease just grows old
       ▲
       └──────start──── stopped                 a kubelet registers the node again and looks what is left

What the rest of the cluster makes of it is not decided here: see controllers/nodelifecycle.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from kitlib.cluster.nodes import Nodes
from kitlib.node.shutdown import CRITICAL, SECONDS
from kitlib.objects.errors import StatusError, bad_request

log = logging.getLogger("kit")

LONGEST = 3600.0  # seconds that a shutdown may be given
RUNNING, STOPPING, STARTING, STOPPED = "running", "stopping", "starting", "stopped"
VERBS = {"stop": (RUNNING, STOPPING, STOPPED), "kill": (RUNNING, STOPPING, STOPPED),
         "start": (STOPPED, STARTING, RUNNING)}


class Power:
    """State of each node that runs processes; a change is begun here and goes on by itself."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._states = dict.fromkeys(nodes.process_names, RUNNING)
        self._tasks: set[asyncio.Task[None]] = set()

    def states(self) -> dict[str, str]:
        return dict(self._states)

    def press(self, name: str, verb: str, seconds: float = SECONDS) -> str:
        """stop, kill or start a node; the state it is in from now on.  Raises StatusError with what is wrong."""
        if name not in self._states:
            known = ", ".join(self._states) or "none"
            why = "is simulated: nothing runs there" if name in self._nodes.simulated_names else "does not exist"
            raise StatusError(404, "NotFound", f'node "{name}" {why}; nodes that can be switched: {known}')
        if verb not in VERBS:
            raise bad_request(f'a node can be asked to {", ".join(VERBS)}, not to "{verb}"')
        needed, meanwhile, _ = VERBS[verb]
        if self._states[name] != needed:
            raise StatusError(409, "Conflict", f'node "{name}" is {self._states[name]}: it cannot {verb} now')
        self._states[name] = meanwhile
        machine = self._nodes.machines[name]
        work: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "stop": lambda: machine.shut_down(seconds, min(CRITICAL, seconds / 3)),
            "kill": machine.pull_the_plug, "start": machine.switch_on}
        task = asyncio.ensure_future(self._do(name, verb, work[verb]()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return meanwhile

    async def _do(self, name: str, verb: str, work: Coroutine[Any, Any, None]) -> None:
        needed, _, after = VERBS[verb]
        try:
            await work
        except Exception:
            log.exception("node %s: %s", name, verb)
            after = needed
        self._states[name] = after
