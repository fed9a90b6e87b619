"""Where everything of a cluster lies: `$KIT_HOME/clusters/NAME/`.

    cluster.json   what was asked for: nodes, port, token; written before the process starts
    kubeconfig     0600; rewritten at every start
    pki/           the cluster's own CA and what it signed
    store.db       every acknowledged write (SQLite, write-ahead log)
    log            what the processes had to say
    run/           pid, lock, sockets: true only while the process lives
    nodes/NODE/    a node's pods and their logs

The lock says whether the process lives, not the pid: the kernel lets go of a lock when its holder dies,
whatever killed it, and a pid may since belong to somebody else.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kitlib.cluster.errors import UsageError

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


def kit_home() -> Path:
    """`$KIT_HOME`, or `~/.kit`."""
    return Path(os.environ.get("KIT_HOME") or Path.home() / ".kit").absolute()


def write_private(path: Path, text: str | bytes) -> None:
    """Replace a file in one step; nobody else on the machine can read it, not even for a moment."""
    data = text.encode() if isinstance(text, str) else text
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class ProcessDir:
    """The files of one background process: who it is, where its sockets are, what it says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "log"
        self.run = path / "run"
        self.pid = self.run / "pid"
        self.state = self.run / "state.json"

    def read_state(self) -> dict[str, Any]:
        """What the running process says about itself; empty when it never started."""
        return _read_json(self.state)

    def is_running(self) -> bool:
        """Whether a process holds the lock."""
        try:
            with open(self.run / "lock", "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except BlockingIOError:
            return True
        return False

    def take_lock(self) -> int | None:
        """The process's lock, held until the process ends; None when another process has it."""
        descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """One `kit up` (or `down`) at a time: the second waits, then finds the work done."""
        self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self.run / "starting", "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class ClusterDir(ProcessDir):
    """The files of one cluster.  Knows paths and locks, starts nothing."""

    def __init__(self, name: str, home: Path | None = None) -> None:
        if not NAME.fullmatch(name):
            raise UsageError(f'"{name}" cannot name a cluster: use up to 40 lower-case letters, digits and "-".')
        super().__init__((home or kit_home()) / "clusters" / name)
        self.name = name
        self.config = self.path / "cluster.json"
        self.kubeconfig = self.path / "kubeconfig"
        self.pki = self.path / "pki"
        self.store = self.path / "store.db"
        self.audit = self.path / "audit.log"
        self.nodes = self.path / "nodes"
        self.runtime = self.path / "runtime"

    def create(self) -> None:
        for directory in (self.path, self.pki, self.run, self.nodes):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def exists(self) -> bool:
        return self.config.exists()

    def read_config(self) -> dict[str, Any]:
        return _read_json(self.config)

    def remove(self) -> None:
        """All of it, with what its Pods have in memory outside of this directory."""
        from kitlib.node.memory_volumes import MemoryVolumes

        for node in self.nodes.iterdir() if self.nodes.is_dir() else ():
            MemoryVolumes(node).sweep(set())
        shutil.rmtree(self.path, ignore_errors=True)


def all_clusters(home: Path | None = None) -> list[ClusterDir]:
    """Every cluster that has files here, by name."""
    root = (home or kit_home()) / "clusters"
    if not root.is_dir():
        return []
    return [c for c in (ClusterDir(p.name, home) for p in sorted(root.iterdir()) if NAME.fullmatch(p.name))
            if c.exists()]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
