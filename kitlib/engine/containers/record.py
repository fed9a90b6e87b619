"""One container: what is known of it, and what of that is kept on disk.

    $KIT_HOME/engine/state/containers/ID.json    the record; written before anybody is told
    $KIT_HOME/engine/containers/ID/              rw/ (what it changes)  init/  hosts  hostname  resolv.conf
                                                 ID-json.log

Source: moby's container/container.go and container/state.go; times are RFC 3339 with nanoseconds.
"""

from __future__ import annotations

import asyncio
import calendar
import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kitlib.engine.containers.attaching import Audience
    from kitlib.runtime.process.session import ProcessSession

NEVER = "0001-01-01T00:00:00Z"
Object = dict[str, Any]


def now() -> str:
    """2026-11-28T18:58:49.869914828Z"""
    return stamp(time.time_ns())


def stamp(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + (f".{rest:09d}".rstrip("0").rstrip(".")) + "Z"


def nanoseconds(text: str) -> int:
    """The same time since 1970, exactly."""
    whole, _, rest = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * 1_000_000_000 + int(f"{rest:0<9}"[:9])


def seconds(text: str) -> float:
    """The same time since 1970; 0.0 for never."""
    if text.startswith("0001-"):
        return 0.0
    return nanoseconds(text) / 1e9


def fresh_state() -> Object:
    return {"Status": "created", "Running": False, "Paused": False, "Restarting": False, "OOMKilled": False,
            "Dead": False, "Pid": 0, "ExitCode": 0, "Error": "", "StartedAt": NEVER, "FinishedAt": NEVER}


@dataclass
class Container:
    """networks: name → EndpointSettings.  mounts: Docker's MountPoints.  image: its id; layers: where its parts lie,
    the lowest first.  sandbox, task: of the run that goes on, by the runtime's names."""

    id: str
    name: str
    created: str
    config: Object
    host: Object
    image: str
    directory: str
    layers: list[str] = field(default_factory=list)
    diff_ids: list[str] = field(default_factory=list)
    networks: dict[str, Object] = field(default_factory=dict)
    mounts: list[Object] = field(default_factory=list)
    ports: dict[str, list[Object] | None] = field(default_factory=dict)
    state: Object = field(default_factory=fresh_state)
    restarts: int = 0
    stopped_by_hand: bool = False
    sandbox: str = ""
    task: str = ""
    size_root: int = -1

    def __post_init__(self) -> None:
        self.lock = asyncio.Lock()
        self.audience: Audience
        self.session: ProcessSession | None = None
        self.run: asyncio.Task[None] | None = None
        self.health: asyncio.Task[None] | None = None
        self.restarting: asyncio.Task[None] | None = None
        self.beginning = False          # restarting has waited long enough, and starts it
        self.execs: list[str] = []
        self.removing = False
        self.removed = asyncio.Event()
        self.ended = asyncio.Event()    # no run goes on, and none is about to
        self.exits: list[asyncio.Future[int]] = []  # who waits for the next exit
        self.live = asyncio.Event()     # its program runs and can be written to
        self.news = asyncio.Event()     # replaced by a new one each time that there are any

    def document(self) -> Object:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def load(cls, document: Object) -> Container:
        known = {each.name for each in fields(cls)}
        return cls(**{key: value for key, value in document.items() if key in known})

    # Where things are.

    @property
    def place(self) -> Path:
        return Path(self.directory)

    @property
    def log_path(self) -> Path:
        return self.place / f"{self.id}-json.log"

    @property
    def rw(self) -> Path:
        return self.place / "rw"

    # What it runs.

    @property
    def argv(self) -> list[str]:
        return [*(self.config.get("Entrypoint") or ()), *(self.config.get("Cmd") or ())]

    @property
    def running(self) -> bool:
        return bool(self.state["Running"])

    @property
    def tty(self) -> bool:
        return bool(self.config["Tty"])

    @property
    def network_mode(self) -> str:
        mode = self.host.get("NetworkMode") or "default"
        return "bridge" if mode == "default" else mode

    @property
    def ip(self) -> str:
        """Its first address."""
        return next((one["IPAddress"] for one in self.networks.values() if one.get("IPAddress")), "")

    def tell(self) -> None:
        """There is something new in its log, or it has ended."""
        news, self.news = self.news, asyncio.Event()
        news.set()

    def attributes(self) -> dict[str, str]:
        """What its events say of it."""
        return {**(self.config.get("Labels") or {}), "image": self.config["Image"], "name": self.name}
