"""The embedded cluster seen from outside: start its process, find it again, stop it.

    kit up ──spawn──▶ process.py (double fork, own session, own stdio)
           ◀─pipe───  {"ready": …} or {"error": "one sentence"}

The pipe is the whole handshake: nothing is polled, and a process that dies while starting closes it.
Afterwards three files tell everything: `run/lock` (held: it lives), `run/state.json` (where it
listens) and `kubeconfig` (how to log in).  Shell, notebook kernel and `kit` may all end; it stays.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.cluster.errors import CannotStart, KitError, NoCluster, UsageError
from kitlib.cluster.home import ClusterDir, write_private
from kitlib.cluster.interface import Cluster, Settings, Status
from kitlib.objects.errors import StatusError
from kitlib.runtime.oci import available

if TYPE_CHECKING:
    from kitlib.client import Client

START_SECONDS = 60.0  # a cold, slow machine; a warm one needs less than one
STOP_SECONDS = 15.0  # Pods get SIGTERM and their grace; then the process goes anyway
MAX_LOG = 8_000_000


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
            self._wait_ready()
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
        if directory.log.exists() and directory.log.stat().st_size > MAX_LOG:
            directory.log.replace(directory.log.with_name("log.1"))
        self._spawn()
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

    def _wait_ready(self) -> None:
        """Somebody else's start is under way, though its `kit up` is gone: rare enough to look every 20 ms."""
        deadline = time.monotonic() + START_SECONDS
        while not self.directory.read_state():
            if time.monotonic() > deadline or not self.directory.is_running():
                raise CannotStart(f'Cluster "{self.name}" did not get ready; {self.directory.log} says why.')
            time.sleep(0.02)

    def _spawn(self) -> None:
        read, write = os.pipe()
        command = [sys.executable, "-m", "kitlib.cluster.process", str(self.directory.path), str(write)]
        with open(os.open(self.directory.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            # The child forks once more and ends at once: nobody is left with a zombie to wait for.
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(write,),
                                     cwd=self.directory.path, start_new_session=True,
                                     env=self._environment())
        os.close(write)
        try:
            answer = _read_answer(read, START_SECONDS)
        finally:
            os.close(read)
            child.wait()
        if "error" in answer:
            self._ended(STOP_SECONDS)
            raise CannotStart(answer["error"])
        if "ready" not in answer:
            self._kill()
            raise CannotStart(f'Cluster "{self.name}" did not start: {self._last_words()}')

    def _environment(self) -> dict[str, str]:
        """Ours; but where Python must not write bytecode beside the sources, it goes to the venv: half a second."""
        env = dict(os.environ)
        if sys.dont_write_bytecode and not sys.pycache_prefix:
            env.pop("PYTHONDONTWRITEBYTECODE", None)
            env["PYTHONPYCACHEPREFIX"] = str(Path(sys.prefix) / "cache" / "bytecode")
        return env

    def _last_words(self) -> str:
        lines = [line for line in self.directory.log.read_text(errors="replace").splitlines() if line.strip()]
        return f"{lines[-1].strip()} (more in {self.directory.log})" if lines else f"see {self.directory.log}"

    # -- stop ---------------------------------------------------------------------------------------

    def stop(self) -> bool:
        if not self.directory.exists():
            return False
        with self.directory.starting():
            running = self.directory.is_running()
            if running:
                self._terminate()
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

    def _terminate(self) -> None:
        self._signal(signal.SIGTERM)
        if not self._ended(STOP_SECONDS):
            self._kill()

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
        if not self._ended(STOP_SECONDS):
            raise KitError(f'The process of cluster "{self.name}" does not end; {self.directory.log} may say why.')

    def _ended(self, seconds: float) -> bool:
        """Wait until nobody holds the lock any more."""
        deadline = time.monotonic() + seconds
        while self.directory.is_running():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def _signal(self, number: signal.Signals) -> None:
        """To the lock's holder, by its own word; without its word it is just beginning or ending by itself."""
        try:
            pid = int(self.directory.pid.read_text())
        except (FileNotFoundError, ValueError):
            return
        if self.directory.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


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


def _read_answer(descriptor: int, seconds: float) -> dict[str, Any]:
    """One JSON line from the pipe; {} when it closes without one or nothing comes in time."""
    deadline, data = time.monotonic() + seconds, b""
    while not data.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(descriptor, 65536) if ready else b""
        if not chunk:
            return {}
        data += chunk
    answer: dict[str, Any] = json.loads(data)
    return answer
