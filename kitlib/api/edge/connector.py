"""What the API server asks of a node: the kubelet's streaming side, as a Python protocol.

A real API server dials the kubelet's port 10250 for logs, exec, attach and port-forward.  Here the
kubelets live in the same process, so the edge calls them; `node/` implements this.

Source: pkg/kubelet/server/server.go (InstallDebuggingHandlers), k8s.io/kubelet/pkg/cri/streaming.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

Pod = Mapping[str, Any]
Options = Mapping[str, Any]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ExecSession(Protocol):
    """A running exec or attach.  It is the CRI's own, said again here because the API knows no runtimes."""

    exit_code: int | None  # set when `output` has ended

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """(1 or 2, bytes) until the process has closed both."""
        ...

    async def write_stdin(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    async def resize(self, width: int, height: int) -> None: ...

    async def kill(self) -> None:
        """Let go of it: what exec has started ends, a container that was attached to goes on."""
        ...


class NodeConnector(Protocol):
    """Refusals are `StatusError`, raised before the first byte."""

    def logs(self, node: str, pod: Pod, options: Options) -> AsyncIterator[bytes]:
        """The log of one container (PodLogOptions), ending when it ends or, with follow, when the container does."""
        ...

    async def exec(self, node: str, pod: Pod, options: Options) -> ExecSession:
        """A new process in a container (PodExecOptions)."""
        ...

    async def attach(self, node: str, pod: Pod, options: Options) -> ExecSession:
        """The streams of a container's own process (PodAttachOptions)."""
        ...

    async def dial(self, node: str, pod: Pod, port: int, context: ssl.SSLContext | None = None) -> Streams:
        """A connection to a port of the Pod, as the control plane reaches it.  Raises OSError, too."""
        ...

    async def port_forward(self, node: str, pod: Pod, port: int) -> Streams:
        """A connection to a port of the Pod, as from inside it.  Raises OSError, too."""
        ...
