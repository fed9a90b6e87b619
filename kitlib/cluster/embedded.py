"""The embedded cluster seen from outside: start its process, find it again, stop it.

    kit up ──spawn──▶ process.py (double fork, own session, own stdio)
           ◀─pipe───  {"ready": …} or {"error": "one sentence"}

The handshake is in background.py.  Afterwards three files tell everything: `run/lock` (held: it lives),
`run/state.json` (where it listens) and `kubeconfig` (how to log in).  Shell, notebook kernel and `kit` may all end; it
stays.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import time
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.cluster.background import spawn, terminate, wait_ready
from kitlib.cluster.errors import CannotStart, NoCluster, UsageError
from kitlib.cluster.home import ClusterDir, write_private
from kitlib.cluster.interface import Cluster, Settings, Status
from kitlib.objects.errors import StatusError
from kitlib.runtime.oci import available

if TYPE_CHECKING:
    from kitlib.client import Client


class EmbeddedCluster(Cluster):
    """One named cluster under $KIT_HOME."""

    backend = "embedded"

    def __init__(self, directory: ClusterDir) -> None:
        self.directory = directory
        self.name = directory.name

    # -- what is ------------------------------------------------------------------------------------

    @property
    def kubeconfig(self) -> Path:
        return self.directory.kubeconfig

    @property
    def server(self) -> str:
        return str(self._running_state()["server"])

    def client(self, user_agent: str = "kit") -> Client:
        from kitlib.client import Client
        from kitlib.client.http import HttpTransport
        from kitlib.client.kubeconfig import Access

        access = Access(self.server, ca=(self.directory.pki / "ca.crt").read_text(),
                        token=self.directory.read_config()["token"])
        return Client(HttpTransport(access), user_agent=user_agent)

    def status(self) -> Status:
        directory, state = self.directory, self.directory.read_state()
        status = Status(self.name, self.backend, directory.is_running(), kubeconfig=str(directory.kubeconfig),
                        ephemeral=bool(directory.read_config().get("ephemeral")))
        if status.running and state:
            status.pid, status.server = state["pid"], state["server"]
            try:
                status.nodes = self._nodes()
            except (OSError, HTTPException, StatusError) as error:
                status.notes.append(f"Its process runs, but the API does not answer ({error}); {directory.log} may say "
                                    f"why.")
        elif state:
            status.notes.append(_stale(state["pid"]))
        return status

    def _nodes(self) -> list[dict[str, Any]]:
        found = self.client().list("nodes")["items"]
        return [{"name": node["metadata"]["name"], "kind": node_kind(node), "ready": is_ready(node)} for node in found]

    def _running_state(self) -> dict[str, Any]:
        state = self.directory.read_state()
        if not state or not self.directory.is_running():
            raise NoCluster(f'Cluster "{self.name}" is not running; `kit up --name {self.name}` starts it.')
        return state

    # -- start --------------------------------------------------------------------------------------

    def start(self, settings: Settings | None = None) -> Status:
        """Start, or attach.  settings None: as last time (three nodes the first time)."""
        began = time.monotonic()
        try:
            self.directory.create()
            with self.directory.starting():
                notes = self._start_locked(settings)
        except OSError as error:
            raise CannotStart(disk_sentence(error, self.directory.path)) from error
        state = self.directory.read_state()
        return Status(self.name, self.backend, True, state["pid"], state["server"], str(self.kubeconfig),
                      state["ephemeral"], state["nodes"], notes is not None, round(time.monotonic() - began, 3),
                      [*(notes or []), *(state["notes"] if notes is not None else [])])

    def _start_locked(self, settings: Settings | None) -> list[str] | None:
        """Returns None when it ran already, else what is worth telling."""
        directory = self.directory
        if directory.is_running():
            wait_ready(directory, f'Cluster "{self.name}"')
            self._same_or_say(settings)
            return None
        stale = directory.read_state()
        notes = [_stale(stale["pid"]) + " It is started again with all it had acknowledged."] if stale else []
        old = directory.read_config()
        if old.get("ephemeral"):  # whatever is left of it was promised to nobody
            for leftover in (directory.state, directory.store):
                leftover.unlink(missing_ok=True)
            notes = []
        self._write_config(old, settings)
        spawn(directory, "kitlib.cluster.process", f'Cluster "{self.name}"')
        return notes

    def _write_config(self, old: dict[str, Any], settings: Settings | None) -> None:
        wanted = settings or Settings(old.get("nodes", 3), old.get("simulatedNodes", 0), old.get("ephemeral", False),
                                      bare=old.get("bare", False))
        runtime = old.get("runtime", "process") if wanted.runtime == "auto" else wanted.runtime
        self._can_run(runtime, old)
        if wanted.proxy_mode:
            from kitlib.cluster.proxymode import choose

            choose(wanted.proxy_mode, runtime)   # refuses before anything is remembered
        config = {"name": self.name, "runtime": runtime, "nodes": wanted.nodes,
                  "simulatedNodes": wanted.simulated_nodes,
                  "ephemeral": wanted.ephemeral, "parentPid": wanted.parent_pid, "bare": wanted.bare,
                  "audit": old.get("audit", False) if wanted.audit is None else wanted.audit,
                  "proxyMode": wanted.proxy_mode or old.get("proxyMode", ""),
                  "port": wanted.port or old.get("port", 0), "portWanted": bool(wanted.port),
                  "slice": old.get("slice"), "token": old.get("token") or secrets.token_urlsafe(24)}
        write_private(self.directory.config, json.dumps(config, indent=1))

    def _can_run(self, runtime: str, old: dict[str, Any]) -> None:
        """Addresses are the runtime's, and the store is full of them: a cluster keeps the one it was made with."""
        made = old.get("runtime", "process") if old else runtime
        if runtime != made:
            raise UsageError(f'Cluster "{self.name}" was made with the runtime {made} and keeps it; '
                             f"`kit down --name {self.name} --delete` forgets it, or give another --name.")
        if runtime == "oci":
            why = available.why_not()
            if why:
                raise CannotStart(f"The runtime oci is not possible here: {why}.")

    def _same_or_say(self, settings: Settings | None) -> None:
        state = self.directory.read_state()
        if settings is None:
            return
        simulated = sum(node["kind"] == "simulated" for node in state["nodes"])
        have = [len(state["nodes"]) - simulated, simulated]
        runtime = self.directory.read_config().get("runtime", "process")
        if settings.runtime not in ("auto", runtime):
            raise UsageError(f'Cluster "{self.name}" is running with the runtime {runtime}; give another --name.')
        if have != [settings.nodes, settings.simulated_nodes]:
            raise UsageError(f'Cluster "{self.name}" is running with {have[0]} nodes and {have[1]} simulated ones; '
                             f"`kit down --name {self.name}` first, then `kit up` with other numbers.")
        if settings.proxy_mode not in ("", state.get("proxyMode")):
            raise UsageError(f'Cluster "{self.name}" is running with proxy mode {state.get("proxyMode")}; '
                             f"`kit down --name {self.name}` first.")
        if settings.audit not in (None, state["audit"]):
            raise UsageError(f'Cluster "{self.name}" is running {"with" if state["audit"] else "without"} an audit '
                             f"log; `kit down --name {self.name}` first.")

    # -- stop ---------------------------------------------------------------------------------------

    def stop(self) -> bool:
        if not self.directory.exists():
            return False
        with self.directory.starting():
            running = self.directory.is_running()
            if running:
                terminate(self.directory, f'cluster "{self.name}"')
            self._stop_orphans()
            self.directory.state.unlink(missing_ok=True)
            if self.directory.read_config().get("ephemeral"):
                self.directory.remove()
        return running

    def delete(self) -> bool:
        existed = self.directory.exists()
        self.stop()
        self.directory.remove()
        return existed

    def _stop_orphans(self) -> None:
        """The runtime daemon outlives a killed cluster process, so that Pods go on; `down` means them, too."""
        from kitlib.runtime.oci.leftovers import clear_leftovers
        from kitlib.runtime.process.link import stop_daemon

        stop_daemon(str(self.directory.run / "runtime.sock"))
        if self.directory.read_config().get("runtime") == "oci":
            clear_leftovers(os.path.realpath(self.directory.runtime))


def is_ready(node: dict[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def node_kind(node: dict[str, Any]) -> str:
    """KWOK's mark tells a simulated node, our label the runtime of another."""
    meta = node["metadata"]
    if meta.get("annotations", {}).get("kwok.x-k8s.io/node") == "fake":
        return "simulated"
    return str(meta.get("labels", {}).get("kit/runtime", "process"))


def disk_sentence(error: OSError, path: Path) -> str:
    """What the disk's refusal means for a person."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in str(error):  # the latter are SQLite's words
        return f"The disk of {path} is full; free some space and try again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.filename or path} cannot be written ({error.strerror}); set KIT_HOME to a directory of yours."
    return f"{path}: {error}."


def _stale(pid: int) -> str:
    return f"The cluster's process ({pid}) ended without `kit down`: a kill, a crash or a reboot."
