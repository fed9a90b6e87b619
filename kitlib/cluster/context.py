"""Any cluster of a kubeconfig: managed Kubernetes, kind, or an embedded one seen from outside.

Nothing here starts, stops or deletes a cluster that is not ours.  A grader's kernel gets its cluster this way:
all it has is a kubeconfig.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kitlib.cluster.embedded import EmbeddedCluster, is_ready, node_kind
from kitlib.cluster.errors import NoCluster
from kitlib.cluster.find import find_or_new, from_environment
from kitlib.cluster.interface import Cluster, Settings, Status

if TYPE_CHECKING:
    from kitlib.client import Client


class ContextCluster(Cluster):
    """The cluster of a kubeconfig's current context."""

    backend = "context"

    def __init__(self, kubeconfig: Path) -> None:
        import yaml

        self._path = kubeconfig
        try:
            config = yaml.safe_load(kubeconfig.read_text())
            self.name = config["current-context"]
            meant = next(c["context"]["cluster"] for c in config["contexts"] if c["name"] == self.name)
            self._server = next(c["cluster"]["server"] for c in config["clusters"] if c["name"] == meant)
        except (OSError, yaml.YAMLError, KeyError, TypeError, StopIteration):
            raise NoCluster(f"{kubeconfig} is not a kubeconfig with a current context") from None

    @property
    def server(self) -> str:
        return self._server

    @property
    def kubeconfig(self) -> Path:
        return self._path

    def client(self, user_agent: str = "kit") -> Client:
        from kitlib.client import Client
        from kitlib.client.http import HttpTransport

        return Client(HttpTransport.from_kubeconfig(str(self._path)), user_agent)

    def status(self) -> Status:
        try:
            nodes = self.client().list("nodes")["items"]
        except Exception as error:  # whatever a foreign cluster does: its status is that it does not answer
            return Status(self.name, self.backend, running=False, server=self._server, kubeconfig=str(self._path),
                          notes=[f"{self._server} does not answer: {error}"])
        return Status(self.name, self.backend, running=True, server=self._server, kubeconfig=str(self._path),
                      nodes=[{"name": n["metadata"]["name"], "kind": node_kind(n), "ready": is_ready(n)}
                             for n in nodes])

    def start(self, settings: Settings | None = None) -> Status:
        status = self.status()
        if not status.running:
            raise NoCluster(status.notes[0])
        return status

    def stop(self) -> bool:
        raise NoCluster(f"the cluster of context {self.name} is not kit's to stop")

    def delete(self) -> bool:
        raise NoCluster(f"the cluster of context {self.name} is not kit's to delete")


def connect() -> Cluster:
    """The cluster that is meant here: $KUBECONFIG's (ours or not), else the only one of ours, else a new one."""
    path = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    if path and from_environment() is None:
        return ContextCluster(Path(path))
    return EmbeddedCluster(find_or_new())
