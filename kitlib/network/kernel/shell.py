"""How a command runs inside a node: in its network namespace.

The runtime that made the namespace knows how; all that is needed here is

    await run("node-1", ["nft", "-f", "-"], stdin)  →  code, stdout, stderr
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

NOT_INSTALLED = 127


class Ran(Protocol):
    """How a command ended; code 127 if there is no such program."""

    @property
    def code(self) -> int: ...
    @property
    def stdout(self) -> str: ...
    @property
    def stderr(self) -> str: ...


Run = Callable[[str, Sequence[str], str], Awaitable[Ran]]


class CommandFailed(Exception):
    """A command that had to succeed did not; the message has its first words."""


class NodeShell:
    """Runs commands in nodes."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def run(self, node: str, command: Sequence[str], stdin: str = "") -> Ran:
        """Run it to its end, whatever that is.  CommandFailed if it is not installed."""
        done = await self._run(node, command, stdin)
        if done.code == NOT_INSTALLED:
            raise CommandFailed(f"{command[0]} is not installed")
        return done

    async def must(self, node: str, command: Sequence[str], stdin: str = "") -> str:
        """Its output; CommandFailed if it does not end well."""
        done = await self.run(node, command, stdin)
        if done.code:
            said = done.stderr.strip().splitlines() or [f"ended with code {done.code}"]
            raise CommandFailed(f"{command[0]} on {node}: {said[0]}")
        return done.stdout


async def set_kernel(shell: NodeShell, node: str, name: str, value: str) -> None:
    """sysctl -w in a node, where the kernel has that setting: name as in /proc/sys, "net/ipv4/ip_forward"."""
    path = f"/proc/sys/{name}"
    await shell.must(node, ["sh", "-c", f"test ! -e {path} || echo {value} > {path}"])


async def prepare(shell: NodeShell, node: str) -> None:
    """Let the rules see what passes a bridge, too: Pods of one node reach each other without being routed.

    Without it a Pod that calls its neighbour through a Service gets the answer from a stranger.
    """
    await set_kernel(shell, node, "net/bridge/bridge-nf-call-iptables", "1")
