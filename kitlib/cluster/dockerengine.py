"""Which Docker Engine there is: a real one that answers, else the embedded one, which is started when it is wanted.

    choose() ─▶ $DOCKER_HOST answers?  ─▶ /var/run/docker.sock answers?  ─▶ the embedded engine, $KIT_HOME/engine/

    KIT_ENGINE=embedded    the embedded one also where a real one runs (CI compares both)
    KIT_ENGINE=real        never the embedded one

"Answers" means GET /_ping: a socket that is there, but that this user may not open, is none.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import socket as sockets
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kitlib.cluster.background import spawn, terminate, wait_ready
from kitlib.cluster.embedded import disk_sentence
from kitlib.cluster.errors import CannotStart, KitError, UsageError
from kitlib.cluster.home import ProcessDir, kit_home
from kitlib.runtime.process.link import stop_daemon

REAL_SOCKET = "unix:///var/run/docker.sock"
LONGEST = 100  # sun_path has 108 bytes, and clients are not all careful with the last ones
PING_SECONDS = 5.0


@dataclass(frozen=True)
class Endpoint:
    """host: what DOCKER_HOST is to be.  kind: real or embedded.  version: the engine's own word."""

    host: str
    kind: str
    version: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """What makes the docker command mean it.  Where buildx is installed, recent ones build with it unless told not
        to, whatever the engine says; and the embedded one does not speak BuildKit's protocol."""
        return {"DOCKER_HOST": self.host, **({"DOCKER_BUILDKIT": "0"} if self.kind == "embedded" else {})}

    @property
    def socket(self) -> str:
        """The path of the unix socket; "" if it is none."""
        return self.host.removeprefix("unix://") if self.host.startswith("unix://") else ""


class EmbeddedEngine:
    """The one embedded engine of this $KIT_HOME."""

    def __init__(self, home: Path | None = None) -> None:
        self.directory = ProcessDir((home or kit_home()) / "engine")

    @property
    def running(self) -> bool:
        return bool(self.directory.read_state()) and self.directory.is_running()

    def endpoint(self) -> Endpoint | None:
        """None if it does not run."""
        state = self.directory.read_state()
        if not state or not self.directory.is_running():
            return None
        return Endpoint(f"unix://{state['socket']}", "embedded", state["version"])

    def start(self) -> tuple[Endpoint, float]:
        """Start it, or find that it runs; and how many seconds that took (0: it ran).  Raises CannotStart."""
        began, seconds = time.monotonic(), 0.0
        self.prepare()
        with self.directory.starting():
            if self.directory.is_running():
                wait_ready(self.directory, "The engine")
            else:
                self.directory.state.unlink(missing_ok=True)
                spawn(self.directory, "kitlib.cluster.engineprocess", "The engine")
                seconds = time.monotonic() - began
        found = self.endpoint()
        if found is None:
            raise CannotStart(f"The engine has ended again; {self.directory.log} may say why.")
        return found, seconds

    def prepare(self) -> None:
        try:
            for path in (self.directory.path, self.directory.run):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CannotStart(disk_sentence(error, self.directory.path)) from error

    def stop(self) -> bool:
        """Whether it was running.  Its containers end with it, as with dockerd."""
        if not self.directory.path.exists():
            return False
        with self.directory.starting():
            running = self.directory.is_running()
            if running:
                terminate(self.directory, "the engine")
            running = stop_daemon(str(self.directory.run / "runtime.sock")) or running  # of an engine that was killed
            self.directory.state.unlink(missing_ok=True)
        return running


def socket_of(directory: ProcessDir) -> Path:
    """Where the socket is: beside its files, or, if that path is too long for one, in a directory of this user's."""
    beside = directory.path / "docker.sock"
    if len(os.fsencode(beside)) <= LONGEST:
        return beside
    name = hashlib.sha256(os.fsencode(directory.path)).hexdigest()[:12]
    place = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"kit-engine-{os.geteuid()}-{name}"
    if len(os.fsencode(place)) > LONGEST - len("/docker.sock"):
        place = Path("/tmp") / place.name
    place.mkdir(mode=0o700, exist_ok=True)
    if place.is_symlink() or place.stat().st_uid != os.geteuid():
        raise CannotStart(f"{place} belongs to somebody else, and the engine's socket was to be there.")
    return place / "docker.sock"


def choose(*, start: bool = True) -> Endpoint | None:
    """The engine that labs and tools mean.  start: the embedded one, if nothing else is there; else None may come."""
    wanted = os.environ.get("KIT_ENGINE", "")
    if wanted not in ("", "real", "embedded"):
        raise UsageError(f"KIT_ENGINE can be real or embedded, not {wanted!r}.")
    embedded = EmbeddedEngine()
    if wanted != "embedded":
        given = os.environ.get("DOCKER_HOST", "")
        if given and _is_remote(given):
            return Endpoint(given, "real")  # ssh://, tcp://: clients know how
        for host in filter(None, (given, REAL_SOCKET)):
            found = ask(host)
            if found is not None:
                return found
        if wanted == "real":
            raise KitError("There is no real Docker Engine that answers here (KIT_ENGINE=real forbids the embedded "
                           "one).")
    return embedded.start()[0] if start else embedded.endpoint()


def use() -> Endpoint:
    """Choose, and let this process and what it starts mean that engine."""
    chosen = choose()
    assert chosen is not None
    os.environ.update(chosen.environment)
    return chosen


def _is_remote(host: str) -> bool:
    return not host.startswith("unix://")


def ask(host: str) -> Endpoint | None:
    """What answers on a unix socket; None if nothing does, or this user may not ask."""
    connection = _UnixConnection(host.removeprefix("unix://"))
    try:
        connection.request("GET", "/_ping")
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            return None
        server = answer.headers.get("Server", "")
        version = server.removeprefix("Docker/").partition(" ")[0]
        return Endpoint(host, "embedded" if version.endswith("+kitlib") else "real", version)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PING_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock: Any = sockets.socket(sockets.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                self.sock.close()
            raise
