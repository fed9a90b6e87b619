"""The images that a node can run: what somebody loaded or built first, then what the catalogue describes.

    kit image load app.tar ──▶ store ──┐
                                       ├──▶ NodeImages ──▶ an ImageConfig, which a runtime runs
    catalogue: busybox, nginx, … ──────┘

The store is all nodes' own, as if each had been given the image (`kind load docker-image`), and it is their registry,
too: a pull finds there what was loaded, whatever the pull policy.

Source: OCI image-spec, config.md ("Env", "Entrypoint", "Cmd", "User", "WorkingDir", "StopSignal").
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kitlib.images.catalog import ImageCatalog
from kitlib.images.errors import ImageError
from kitlib.images.layer import Whiteouts
from kitlib.images.merged import Merged
from kitlib.images.store import ImageStore, StoredImage, default_store
from kitlib.runtime.cri import Image, RuntimeError_
from kitlib.runtime.process.images import COPY, NOT_AT_ALL, OVERLAY, ImageConfig


class NodeImages:
    """An `ImageSource`."""

    def __init__(self, catalog: ImageCatalog | None = None, store: ImageStore | None = None) -> None:
        self._catalog, self._store = catalog or ImageCatalog(), store or default_store()
        self.stacking = OVERLAY

    def names(self) -> list[str]:
        return self._catalog.names()

    def normalize(self, reference: str) -> str:
        return self._catalog.normalize(reference)

    def loaded(self, name: str) -> Image | None:
        try:
            stored = self._store.find(name)
        except (ImageError, OSError):
            return None  # a pull says what is wrong with it
        return _image(stored) if stored is not None else None

    def all_loaded(self) -> list[Image]:
        try:
            return [_image(stored) for stored in self._store.images() if stored.name]
        except (ImageError, OSError):
            return []

    async def fetch(self, name: str) -> None:
        if self._store.find(name) is None:
            await self._catalog.fetch(name)
        else:
            await asyncio.to_thread(self.pull, name, "")  # unpacking takes its time, but only once

    def pull(self, name: str, directory: str) -> ImageConfig:
        try:
            stored = self._store.find(name)
            if stored is None:
                return self._catalog.pull(name, directory)
            return self._config(name, stored)
        except (ImageError, OSError) as error:
            raise RuntimeError_("ErrImagePull", f'failed to pull and unpack image "{name}": {error}') from error

    def _config(self, name: str, stored: StoredImage) -> ImageConfig:
        if self.stacking == NOT_AT_ALL:
            raise ImageError("an image with files of its own needs namespaces or proot on this machine; `kit doctor` "
                             "says what is missing")
        if self.stacking == COPY:
            layers = [self._store.flat(stored)]
        else:
            marks = Whiteouts.OVERLAY if self.stacking == OVERLAY else Whiteouts.USER
            layers = [self._store.unpacked(stored, number, marks) for number in range(len(stored.layers))]
        settings = stored.config.get("config") or {}
        user, group = identity(str(settings.get("User") or ""), layers)
        pairs = [entry.partition("=") for entry in settings.get("Env") or ()]
        return ImageConfig(
            name, stored.digest, stored.size, tuple(settings.get("Entrypoint") or ()), tuple(settings.get("Cmd") or ()),
            tuple((key, value) for key, _, value in pairs), settings.get("WorkingDir") or "/",
            _signal(str(settings.get("StopSignal") or "SIGTERM")), user, group, layers=tuple(map(str, layers)))


def _image(stored: StoredImage) -> Image:
    return Image(stored.digest, (stored.name,), (f"{stored.name.rpartition(':')[0]}@{stored.digest}",), stored.size)


def identity(user: str, layers: Sequence[Path]) -> tuple[int | None, int | None]:
    """(uid, gid) of a config's User: "", 1000, www-data, 1000:1000, www-data:users.  Raises ImageError."""
    if not user:
        return None, None
    name, _, group = user.partition(":")
    tree = Merged(tuple(reversed(layers)))
    accounts = _table(tree, "etc/passwd")
    found = accounts.get(name) or next((row for row in accounts.values() if row[2:3] == [name]), None)
    if not name.isdigit() and found is None:
        raise ImageError(f"no users found: unable to find user {name}: no matching entries in passwd file")
    uid = int(name) if found is None else int(found[2])
    if not group:
        return uid, int(found[3]) if found else 0
    groups = _table(tree, "etc/group")
    if not group.isdigit() and group not in groups:
        raise ImageError(f"unable to find group {group}: no matching entries in group file")
    return uid, int(groups[group][2]) if group in groups else int(group)


def _table(tree: Merged, path: str) -> Mapping[str, list[str]]:
    place = tree.find(path)
    if place is None or place.is_symlink() or not place.is_file():
        return {}
    rows: list[list[str]] = [line.split(":") for line in place.read_text(errors="replace").splitlines()]
    return {row[0]: row for row in rows if len(row) > 3 and row[2].isdigit()}


def _signal(name: str) -> str:
    """SIGQUIT, QUIT or 3 → SIGQUIT."""
    try:
        number: Any = signal.Signals(int(name)) if name.isdigit() else signal.Signals[
            name if name.startswith("SIG") else f"SIG{name}"]
    except (KeyError, ValueError):
        return "SIGTERM"
    return str(number.name)
