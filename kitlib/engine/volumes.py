"""Volumes: directories that outlive the containers which use them.

    $KIT_HOME/engine/volumes/NAME/_data

The driver is Docker's `local`; of its options the embedded engine knows bind mounts (type=none, o=bind, device=PATH).

Source: moby 20.10, volume/local, volume/service; docs.docker.com/reference/api/engine (Volume).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.engine.errors import EngineError, bad_request, conflict, not_found, not_here
from kitlib.engine.filters import label_fits, name_fits

if TYPE_CHECKING:
    from kitlib.engine.engine import Engine

Volume = dict[str, Any]
_ANONYMOUS = "com.docker.volume.anonymous"


class Volumes:
    """The engine's part that keeps them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[str, Volume] = {}
        self.root = engine.home / "volumes"

    async def start(self) -> None:
        self._known = self._engine.state.all("volumes")

    async def stop(self) -> None:
        """Nothing runs here."""

    def ensure(self, name: str, *, labels: Mapping[str, str] | None = None, options: Mapping[str, str] | None = None,
               driver: str = "local", anonymous: bool = False) -> Volume:
        """The volume of this name, made if it is not there; without a name, a new one."""
        if driver not in ("local", "default", ""):
            raise not_found(f'error looking up volume plugin {driver}: plugin "{driver}" not found')
        name = name or os.urandom(32).hex()
        if name in self._known:
            return self._known[name]
        place = self.root / name / "_data"
        source = _checked(dict(options or {}))
        place.mkdir(parents=True, exist_ok=True)
        given = labels or ({} if labels is not None and not anonymous else None)
        volume = {"CreatedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "Driver": "local",
                  "Labels": dict(given) if given is not None else None, "Mountpoint": source or str(place),
                  "Name": name, "Options": dict(options) if options is not None else None, "Scope": "local"}
        self._engine.state.put("volumes", name, {**volume, _ANONYMOUS: anonymous})
        self._known[name] = {**volume, _ANONYMOUS: anonymous}
        self._engine.events.tell("volume", "create", name, {"driver": "local"})
        return self._known[name]

    def get(self, name: str) -> Volume:
        """Raises EngineError(404)."""
        if name not in self._known:
            raise not_found(f"get {name}: no such volume")
        return self.shown(self._known[name])

    @staticmethod
    def shown(volume: Volume) -> Volume:
        return {key: value for key, value in volume.items() if key != _ANONYMOUS}

    def users(self, name: str) -> list[str]:
        """The containers that mount it, by id."""
        return [one["Id"] for one in self._summaries() for point in one["Mounts"]
                if point["Type"] == "volume" and point.get("Name") == name]

    def _summaries(self) -> Sequence[Mapping[str, Any]]:
        return self._engine.containers.summaries()

    def listed(self, filters: Mapping[str, list[str]]) -> list[Volume]:
        used = {point["Name"] for one in self._summaries() for point in one["Mounts"] if point["Type"] == "volume"}
        found = []
        for name, volume in sorted(self._known.items()):
            dangling = filters.get("dangling")
            if dangling and (dangling[0].lower() in ("1", "true")) == (name in used):
                continue
            if name_fits(filters.get("name"), name) and label_fits(filters, volume["Labels"] or {}) and \
                    volume["Driver"] in filters.get("driver", ["local"]):
                found.append(self.shown(volume))
        return found

    def usage(self) -> list[Volume]:
        """As GET /system/df has them."""
        return [{**self.shown(volume), "UsageData": {"RefCount": len(self.users(name)),
                                                     "Size": size(Path(volume["Mountpoint"]))}}
                for name, volume in sorted(self._known.items())]

    async def remove(self, name: str, *, force: bool = False) -> None:
        """force: it is no error if there is none."""
        if name not in self._known:
            if force:
                return
            raise not_found(f"get {name}: no such volume")
        users = self.users(name)
        if users:
            raise conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        volume = self._known.pop(name)
        await asyncio.to_thread(shutil.rmtree, self.root / name, True)
        self._engine.state.drop("volumes", name)
        self._engine.events.tell("volume", "destroy", name, {"driver": volume["Driver"]})

    async def remove_anonymous(self, names: Sequence[str]) -> None:
        """Those of a container that goes with all that is its own."""
        for name in names:
            if self._known.get(name, {}).get(_ANONYMOUS):
                try:
                    await self.remove(name)
                except EngineError:  # another container has it, too
                    continue

    async def prune(self, filters: Mapping[str, list[str]]) -> tuple[list[str], int]:
        """Names of those that nobody used, and the bytes that were freed."""
        gone, freed = [], 0
        for volume in self.listed({"dangling": ["true"], **filters}):
            freed += await asyncio.to_thread(size, Path(volume["Mountpoint"]))
            await self.remove(volume["Name"])
            gone.append(volume["Name"])
        return gone, freed


def _checked(options: dict[str, str]) -> str:
    """Where the volume lies by its options; "" where the engine keeps it."""
    known = {"type", "o", "device"}
    wrong = sorted(set(options) - known)
    if wrong:
        raise bad_request(f'create : invalid option: "{wrong[0]}"')
    if not options:
        return ""
    if "bind" not in options.get("o", "").split(",") or not options.get("device"):
        raise not_here(f"volumes of type {options.get('type', '')!r}",
                       "use a bind mount (type=none, o=bind), or --tmpfs")
    if not os.path.isdir(options["device"]):
        raise bad_request(f"failed to mount local volume: mount {options['device']}: no such file or directory")
    return options["device"]


def size(root: Path) -> int:
    """Bytes of the files below a directory."""
    total = 0
    for parent, _, files in os.walk(root):
        for name in files:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:
                continue
    return total
