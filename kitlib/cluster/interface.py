"""What every place a lab can run in has in common: the `Cluster`.

    embedded   kitlib's own control plane and nodes in one background process (the default)
    kind       a real cluster in Docker
    context    any cluster of the user's kubeconfig

A lab holds one of these and asks for no more than this.  Whatever else it wants it gets from the
Kubernetes API, which is the same on all three.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kitlib.client import Client


@dataclass(slots=True)
class Settings:
    """What `kit up` can be told.  port 0: any free one, kept for the next start.

    bare: no add-ons, that is no default StorageClass or IngressClass and no ingress controller.
    audit: every request to the API leaves a line in audit.log; None: as last time, at first not.
    runtime: process or oci; auto: as last time, at first process.
    proxy_mode: how kube-proxy works, userspace, iptables or nftables; "": as last time, at first the best one.
    """

    nodes: int = 3
    simulated_nodes: int = 0
    ephemeral: bool = False
    port: int = 0
    parent_pid: int = 0  # an ephemeral cluster may end with the process that wanted it
    bare: bool = False
    audit: bool | None = None
    runtime: str = "auto"
    proxy_mode: str = ""


@dataclass(slots=True)
class Status:
    """What `kit status` tells.  nodes: name, kind (process, oci or simulated), ready."""

    name: str
    backend: str
    running: bool
    pid: int = 0
    server: str = ""
    kubeconfig: str = ""
    ephemeral: bool = False
    nodes: list[dict[str, Any]] = field(default_factory=list)
    started: bool = False  # this very call started it
    seconds: float = 0.0  # how long starting took
    notes: list[str] = field(default_factory=list)  # sentences worth reading: a stale pid, a port that moved

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Cluster(ABC):
    """A Kubernetes cluster that a lab may use."""

    name: str
    backend: str

    @property
    @abstractmethod
    def server(self) -> str:
        """The API's URL.  NoCluster when it does not run."""

    @property
    @abstractmethod
    def kubeconfig(self) -> Path:
        """A file that makes kubectl and every client library use this cluster."""

    @abstractmethod
    def start(self, settings: Settings | None = None) -> Status:
        """Start it, or find that it runs already; return when all nodes are Ready."""

    @abstractmethod
    def stop(self) -> bool:
        """End its processes and keep its state.  False when it did not run."""

    @abstractmethod
    def delete(self) -> bool:
        """Stop it and forget everything.  False when there was nothing."""

    @abstractmethod
    def status(self) -> Status:
        """What is true now.  Never raises because the cluster is down."""

    @abstractmethod
    def client(self, user_agent: str = "kit") -> Client:
        """kitlib's own client, over HTTPS, as the cluster's administrator."""
