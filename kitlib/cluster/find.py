"""Which cluster is meant: `--name`, else the one $KUBECONFIG points at, else the only one there is.

The same rule for every command, so that `kit kubectl` and plain `kubectl` never talk to different clusters
without saying so.
"""

from __future__ import annotations

import os
from pathlib import Path

from kitlib.cluster import kubeconfig
from kitlib.cluster.errors import NoCluster, UsageError
from kitlib.cluster.home import ClusterDir, all_clusters

DEFAULT_NAME = "default"


def from_environment() -> ClusterDir | None:
    """$KUBECONFIG's cluster, if it is one of ours.  Of several files kubectl takes the first one's context."""
    for part in os.environ.get("KUBECONFIG", "").split(os.pathsep):
        if not part:
            continue
        path = Path(part).absolute()
        for cluster in all_clusters():
            if path == cluster.kubeconfig:
                return cluster
        name = kubeconfig.cluster_of(path)
        if name:
            cluster = ClusterDir(name)
            return cluster if cluster.exists() else None
    return None


def find(name: str | None = None) -> ClusterDir:
    """The cluster that is meant.  NoCluster when there is none, UsageError when it is not clear."""
    if name:
        cluster = ClusterDir(name)
        if not cluster.exists():
            known = ", ".join(c.name for c in all_clusters()) or "none"
            raise NoCluster(f'There is no cluster "{name}" (there is: {known}); `kit up --name {name}` makes it.')
        return cluster
    from_kubeconfig = from_environment()
    if from_kubeconfig:
        return from_kubeconfig
    clusters = all_clusters()
    if not clusters:
        raise NoCluster("There is no cluster yet; `kit up` makes one.")
    if len(clusters) > 1:
        names = ", ".join(c.name for c in clusters)
        raise UsageError(f"There are several clusters ({names}): say which one with --name, or set KUBECONFIG "
                         f'with eval "$(kit env --name NAME)".')
    return clusters[0]


def find_or_new(name: str | None = None) -> ClusterDir:
    """The same for `kit up`, where a cluster that is not there yet may be meant."""
    if name:
        return ClusterDir(name)
    try:
        return find()
    except NoCluster:
        return ClusterDir(DEFAULT_NAME)
