"""A container's files for those who are outside: cp both ways, export, diff, and the layer that commit makes.

cp and export go through a process of their own (inside.py), which stands where the container's files are: in the
namespaces of a container that runs, in a mount of its own for one that does not.

Source: moby 20.10, daemon/archive.go, daemon/export.go, pkg/archive/changes.go and changes_linux.go (OverlayChanges).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from kitlib.engine.containers.place import tree
from kitlib.engine.containers.record import Container
from kitlib.engine.errors import EngineError
from kitlib.engine.volumes import size
from kitlib.images.layerwriter import Entry, of_difference, of_upper, without
from kitlib.images.merged import Merged
from kitlib.runtime.process.client import ProcessRuntime
from kitlib.runtime.process.images import COPY, USER_OVERLAY
from kitlib.runtime.process.isolation import python_command
from kitlib.runtime.treecopy import remove_tree

Object = dict[str, Any]
MODIFIED, ADDED, DELETED = 0, 1, 2
_OPAQUE_MARKS = ("trusted.overlay.opaque", "user.overlay.opaque")
_CHUNK = 262144


def _copied(container: Container) -> bool:
    """Whether its files are a copy of the image's, since nothing can be stacked here."""
    return not (container.rw / "upper").is_dir()


def _own(container: Container) -> set[str]:
    """What is there only so that something can be mounted on it, or because Docker puts it everywhere."""
    found = {".dockerenv", "dev/console", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", "dev", "proc",
             "sys", "dev/pts", "dev/shm", ".kit", ".kit/busybox"}
    return found | {point["Destination"].strip("/") for point in container.mounts}


def changes(container: Container, stacking: str) -> Iterator[Entry]:
    """The read-write layer: entries of an image's layer, whiteouts included."""
    mine = -1 if os.geteuid() == 0 else os.geteuid()
    if stacking != COPY:
        yield from of_upper(container.rw / "upper", mine=mine)
        return
    found = of_difference(Path(container.layers[0]), container.rw / "root", mine=mine)
    for entry in without(found, _own(container)):
        yield replace(entry, uid=0, gid=0) if entry.uid == mine else entry


def difference(container: Container, stacking: str) -> list[Object]:
    """docker diff: [{"Path", "Kind"}], a directory before what is in it."""
    found: dict[str, int] = {}
    if stacking == COPY:
        below = Merged([Path(container.layers[0])])
        for entry in changes(container, stacking):
            folder, _, name = entry.path.rpartition("/")
            if name.startswith(".wh."):
                _note(found, f"{folder}/{name[4:]}".strip("/"), DELETED)
            elif not (entry.kind == b"5" and below.find(entry.path) is not None and _same_mode(below, entry)):
                _note(found, entry.path, MODIFIED if below.find(entry.path) is not None else ADDED)
    else:
        _walk(container.rw / "upper", "", Merged([Path(one) for one in reversed(container.layers)]), found)
    return [{"Path": f"/{path}", "Kind": found[path]} for path in sorted(found, key=lambda path: path.split("/"))]


def _same_mode(below: Merged, entry: Entry) -> bool:
    place = below.find(entry.path)
    return place is not None and stat.S_IMODE(os.lstat(place).st_mode) == entry.mode


def _walk(upper: Path, base: str, below: Merged, found: dict[str, int]) -> None:
    """As by comparing both trees: times of directories do not count, nor does what was only touched by a copy-up."""
    for name in sorted(os.listdir(upper / base)):
        path = f"{base}/{name}" if base else name
        there = os.lstat(upper / path)
        lower = below.find(path)
        if stat.S_ISCHR(there.st_mode) and there.st_rdev == 0:
            if lower is not None:
                _note(found, path, DELETED)
            continue
        before = os.lstat(lower) if lower is not None else None
        if before is None:
            _note(found, path, ADDED)
        elif _marks(before) != _marks(there):
            _note(found, path, MODIFIED)
        if stat.S_ISDIR(there.st_mode):
            if before is not None and any(_is_opaque(upper / path, mark) for mark in _OPAQUE_MARKS):
                for gone in set(below.names(path)) - set(os.listdir(upper / path)):
                    _note(found, f"{path}/{gone}", DELETED)
            _walk(upper, path, below, found)


def _marks(status: os.stat_result) -> tuple[int, ...]:
    """What a change shows by."""
    own = (status.st_mode, status.st_uid, status.st_gid, status.st_rdev)
    return own if stat.S_ISDIR(status.st_mode) else (*own, status.st_size, status.st_mtime_ns)


def _note(found: dict[str, int], path: str, kind: int) -> None:
    """A change, and that the directories above it have changed."""
    parts = path.split("/")
    for i in range(1, len(parts)):
        found.setdefault("/".join(parts[:i]), MODIFIED)
    found[path] = kind


def _is_opaque(place: Path, mark: str) -> bool:
    try:
        return os.getxattr(place, mark) == b"y"
    except OSError:
        return False


def size_rw(container: Container) -> int:
    """Bytes of what it has changed."""
    if _copied(container):
        if not container.layers:
            return 0
        return sum(entry.size for entry in changes(container, COPY))
    return size(container.rw / "upper")


def size_root(container: Container) -> int:
    """The same with the image below."""
    if container.size_root < 0:
        container.size_root = sum(size(Path(os.path.realpath(one))) for one in container.layers)
    return container.size_root + size_rw(container)


def remove(place: Path) -> None:
    """A container's directory, also what a program has made unreadable."""
    remove_tree(place)


# Through a process that stands where the files are.


def _where(container: Container, runtime: ProcessRuntime, *, whole: bool = False) -> Object:
    """How to get to the files.  whole: all of its own, none of what is mounted there."""
    user = runtime.stacking == USER_OVERLAY
    if runtime.stacking == COPY:
        binds = [] if whole else [[point["Source"], point["Destination"]] for point in container.mounts
                                  if point["Type"] != "tmpfs"]
        return {"how": "plain", "root": str(container.rw / "root"), "binds": binds}
    if whole:
        return {"how": "view", "place": str(container.place), "user": user,
                "lowers": [os.path.relpath(one, container.place) for one in tree(container.rw, container.layers, "")]}
    if container.running and container.state["Pid"] and not container.state["Restarting"]:
        return {"how": "join", "pid": container.state["Pid"], "user": user}
    binds = [[point["Source"], point["Destination"], not point["RW"]] for point in container.mounts
             if point["Type"] != "tmpfs"]
    return {"how": "stack", "rw": str(container.rw), "layers": container.layers, "user": user, "binds": binds}


class Helper:
    """One run of inside.py.  answer: its first line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, container: Container, runtime: ProcessRuntime, what: str, *, whole: bool = False,
                    **settings: Any) -> Helper:
        spec = {**_where(container, runtime, whole=whole), "what": what, **settings}
        command, env = python_command("kitlib.engine.containers.inside", json.dumps(spec))
        return cls(await asyncio.create_subprocess_exec(*command, env=env, stdin=subprocess.PIPE,
                                                        stdout=subprocess.PIPE, limit=1 << 20))

    async def answer(self) -> Object:
        """Raises EngineError: what it could not do."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        answer: Object = json.loads(line) if line else {"status": 500, "error": "the files could not be reached"}
        if "error" in answer:
            await self.close()
            raise EngineError(answer["status"], answer["error"])
        return answer

    async def output(self) -> AsyncIterator[bytes]:
        assert self._process.stdout is not None
        try:
            while data := await self._process.stdout.read(_CHUNK):
                yield data
        finally:
            await self.close()

    async def feed(self, pieces: AsyncIterator[bytes]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            async for piece in pieces:
                self._process.stdin.write(piece)
                await self._process.stdin.drain()
            self._process.stdin.close()

    async def close(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()

