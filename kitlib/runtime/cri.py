"""The Container Runtime Interface in Python: what a kubelet asks of whatever runs containers.

Verbs and fields carry the CRI's own names (k8s.io/cri-api, runtime/v1/api.proto), in snake_case.
Times are seconds since 1970 as floats (the CRI has nanoseconds); 0.0 means "not yet".

    kubelet ──RunPodSandbox──▶ runtime      a place: an address, a hostname, a directory
            ──PullImage──────▶              bytes become a root file system
            ──CreateContainer▶              a config, nothing runs
            ──StartContainer─▶              a process
            ◀─ContainerEvent──              it started, it ended

Every method is a coroutine: the kubelet lives on an event loop, and a runtime talks to processes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


class RuntimeError_(Exception):
    """A refusal of the runtime.  `reason` is what Kubernetes shows: ErrImagePull, RunContainerError..."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class ContainerState(str, Enum):
    CREATED = "CONTAINER_CREATED"
    RUNNING = "CONTAINER_RUNNING"
    EXITED = "CONTAINER_EXITED"
    UNKNOWN = "CONTAINER_UNKNOWN"


@dataclass(frozen=True, slots=True)
class PortMapping:
    container_port: int
    protocol: str = "TCP"
    host_port: int = 0


@dataclass(frozen=True, slots=True)
class PodSandboxConfig:
    """name, uid, namespace, attempt: PodSandboxMetadata.  ip: the address the kubelet's IPAM chose."""

    name: str
    uid: str
    namespace: str
    attempt: int = 0
    hostname: str = ""
    ip: str = ""
    log_directory: str = ""
    dns_servers: Sequence[str] = ()
    dns_searches: Sequence[str] = ()
    dns_options: Sequence[str] = ()
    host_aliases: Sequence[tuple[str, Sequence[str]]] = ()
    port_mappings: Sequence[PortMapping] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    host_network: bool = False
    node: str = ""  # one runtime serves all nodes of a cluster: whose network it is


@dataclass(frozen=True, slots=True)
class PodSandboxStatus:
    id: str
    config: PodSandboxConfig
    ready: bool
    created_at: float
    ip: str


@dataclass(frozen=True, slots=True)
class Mount:
    container_path: str
    host_path: str
    readonly: bool = False


@dataclass(frozen=True, slots=True)
class Resources:
    """LinuxContainerResources.  0 means no limit.  cpu_quota is in microseconds per cpu_period."""

    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 100_000
    memory_limit_in_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """What to run.  command replaces the image's entrypoint, args its cmd (empty: the image's own)."""

    name: str
    image: str
    attempt: int = 0
    command: Sequence[str] = ()
    args: Sequence[str] = ()
    working_dir: str = ""
    envs: Sequence[tuple[str, str]] = ()
    mounts: Sequence[Mount] = ()
    log_path: str = ""  # relative to the sandbox's log_directory; CRI log format
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    run_as_user: int | None = None
    run_as_group: int | None = None
    readonly_rootfs: bool = False
    supplemental_groups: Sequence[int] = ()
    privileged: bool = False
    no_new_privs: bool = False  # allowPrivilegeEscalation: false
    add_capabilities: Sequence[str] = ()  # as in securityContext: NET_ADMIN, or ALL
    drop_capabilities: Sequence[str] = ()
    seccomp: str = ""  # RuntimeDefault, or none
    resources: Resources = Resources()
    pid_mode: str = "CONTAINER"  # NamespaceOption.pid: POD (one for all its containers), CONTAINER, NODE, TARGET
    target_id: str = ""  # TARGET: whose process numbers to share
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """reason: Completed, Error, OOMKilled, StartError, ContainerCannotRun...; message: a sentence or ''."""

    id: str
    sandbox_id: str
    config: ContainerConfig
    state: ContainerState
    created_at: float
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    image_ref: str = ""
    log_path: str = ""
    pid: int = 0


@dataclass(frozen=True, slots=True)
class ContainerStats:
    """cpu_usage_core_nanos counts since start; memory is the working set in bytes."""

    id: str
    timestamp: float
    cpu_usage_core_nanos: int
    memory_working_set_bytes: int


@dataclass(frozen=True, slots=True)
class Image:
    id: str
    repo_tags: Sequence[str] = ()
    repo_digests: Sequence[str] = ()
    size: int = 0


@dataclass(frozen=True, slots=True)
class ExecSyncResponse:
    stdout: bytes
    stderr: bytes
    exit_code: int


class ExecSession(Protocol):
    """A running exec or attach.  Output arrives as (stream, data), stream 1 or 2; then `exit_code` is set."""

    exit_code: int | None

    def output(self) -> AsyncIterator[tuple[int, bytes]]: ...

    async def write_stdin(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    async def resize(self, width: int, height: int) -> None: ...

    async def kill(self) -> None: ...


EventHandler = Callable[[ContainerStatus], None]


class RuntimeService(Protocol):
    """The CRI's RuntimeService and ImageService.  Errors are `RuntimeError_`."""

    name: str  # process, oci, simulated

    async def version(self) -> str: ...

    async def run_pod_sandbox(self, config: PodSandboxConfig) -> str: ...

    async def stop_pod_sandbox(self, sandbox_id: str) -> None: ...

    async def remove_pod_sandbox(self, sandbox_id: str) -> None: ...

    async def list_pod_sandbox(self) -> list[PodSandboxStatus]: ...

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str: ...

    async def start_container(self, container_id: str) -> None: ...

    async def stop_container(self, container_id: str, timeout: float) -> None: ...

    async def remove_container(self, container_id: str) -> None: ...

    async def list_containers(self) -> list[ContainerStatus]: ...

    async def container_status(self, container_id: str) -> ContainerStatus: ...

    async def exec_sync(self, container_id: str, cmd: Sequence[str], timeout: float) -> ExecSyncResponse: ...

    async def exec(self, container_id: str, cmd: Sequence[str], *, stdin: bool, tty: bool) -> ExecSession: ...

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> ExecSession: ...

    async def port_address(self, sandbox_id: str, port: int) -> tuple[str, int]:
        """Where a port of the Pod can be dialled from this machine (low ports may be mapped to high ones)."""
        ...

    async def dial(self, host: str, port: int, context: ssl.SSLContext | None = None, *,
                   node: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to an address of the cluster, as from a node (or from the control plane).  Raises OSError."""
        ...

    async def port_forward(self, sandbox_id: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a port of the Pod, as from inside it.  Raises OSError."""
        ...

    async def container_stats(self, container_id: str) -> ContainerStats: ...

    async def update_container_resources(self, container_id: str, resources: Resources) -> None: ...

    async def pull_image(self, image: str) -> Image: ...

    async def image_status(self, image: str) -> Image | None: ...

    async def list_images(self) -> list[Image]: ...

    async def remove_image(self, image: str) -> None: ...

    def on_container_event(self, handler: EventHandler) -> None: ...

    async def close(self) -> None: ...
