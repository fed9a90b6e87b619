"""What the API server asks of a node: the kubelet's streaming side, as a Python protocol.

A real API server dials the kubelet's port 10250 for logs, exec, attach and port-forward.  Here the
kubelets live in the same process, so the edge calls them; `node/` implements this.

Source: pkg/kubelet/server/server.go (InstallDebuggingHandlers), k8s.io/kubelet/pkg/cri/streaming.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from kitlib.runtime.cri import ExecSession

Pod = Mapping[str, Any]
Options = Mapping[str, Any]


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

    async def port_address(self, node: str, pod: Pod, port: int) -> tuple[str, int]:
        """Where this process can dial a port of the Pod."""
        ...
