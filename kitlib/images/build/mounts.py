"""The mounts of RUN: what a step may see while it runs and what leaves no trace in its layer.

    bind     files of the context, of another step or of an image
    cache    a directory that outlives the build (for a package manager, a compiler)
    secret   a file or a variable that is nowhere afterwards
    tmpfs    memory

Source: docs.docker.com/reference/dockerfile (RUN --mount); moby/buildkit, solver/llbsolver/mounts.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from kitlib.images.build.ignore import Context
from kitlib.images.build.isolation import Bind
from kitlib.images.build.operations import Mount, Run
from kitlib.images.build.running import SCRIPT
from kitlib.images.errors import ImageError
from kitlib.images.merged import Merged

Trees = Callable[[int], Merged]


class CacheMounts:
    """The directories of --mount=type=cache, by id."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def place(self, mount: Mount, stack: contextlib.ExitStack, first: Callable[[Path], None] | None) -> Path:
        """`locked`: one step at a time; `private`: one of its own if somebody else has it.  first: fills a new one."""
        place = self._root / hashlib.sha256(mount.identity.encode()).hexdigest()[:24]
        if mount.sharing == "private":
            number = 0
            while not self._lock(place, stack, wait=False):
                number += 1
                place = place.with_name(f"{place.name.partition('.')[0]}.{number}")
        elif mount.sharing == "locked":
            self._lock(place, stack, wait=True)
        if not place.exists():
            self._make(place, mount, first)
        return place

    def _make(self, place: Path, mount: Mount, first: Callable[[Path], None] | None) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=self._root) as work:
            new = Path(work, "cache")
            if first is not None:
                first(new)
            new.mkdir(exist_ok=True)
            new.chmod(mount.mode or 0o755)
            if os.geteuid() == 0:
                os.chown(new, mount.uid, mount.gid)
            with contextlib.suppress(OSError):  # another step was quicker
                os.rename(new, place)

    def _lock(self, place: Path, stack: contextlib.ExitStack, *, wait: bool) -> bool:
        self._root.mkdir(parents=True, exist_ok=True)
        file = os.open(f"{place}.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        stack.callback(os.close, file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True


def prepare(operation: Run, stack: contextlib.ExitStack, scratch: Path, context: Context,
            secrets: Mapping[str, bytes], caches: CacheMounts, tree_of: Trees) -> tuple[list[Bind], dict[str, str]]:
    """What is to be mounted, and variables.  Raises ImageError; what it made goes with the stack."""
    binds: list[Bind] = []
    env: dict[str, str] = {}
    if operation.script:
        place = Path(tempfile.mkdtemp(dir=scratch)) / "script"
        place.write_text(operation.script)
        place.chmod(0o755)
        binds.append(Bind(SCRIPT, place, readonly=True))
    for mount in operation.mounts:
        if mount.kind == "tmpfs":
            binds.append(Bind(mount.target, None, options=f"mode=1777{f',size={mount.size}' if mount.size else ''}"))
        elif mount.kind == "cache":
            first = None if mount.node is None else functools.partial(_copy, mount, context, tree_of)
            binds.append(Bind(mount.target, caches.place(mount, stack, first), mount.readonly))
        elif mount.kind == "bind":
            binds.append(Bind(mount.target, _files(mount, scratch, context, tree_of), mount.readonly))
        elif mount.kind == "secret":
            _secret(mount, secrets, scratch, stack, binds, env)
        elif mount.required:
            raise ImageError("an ssh agent was required, and there is none here")
    return binds, env


def _secret(mount: Mount, secrets: Mapping[str, bytes], scratch: Path, stack: contextlib.ExitStack,
            binds: list[Bind], env: dict[str, str]) -> None:
    if mount.identity not in secrets:
        if mount.required:
            raise ImageError(f"secret {mount.identity}: not found (give it with --secret id={mount.identity},src=FILE)")
        return
    content = secrets[mount.identity]
    if mount.env:
        env[mount.env] = content.decode(errors="surrogateescape")
    if mount.target:
        directory = Path(tempfile.mkdtemp(dir=scratch))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        place = directory / "secret"
        place.write_bytes(content)
        place.chmod(mount.mode or 0o400)
        if os.geteuid() == 0:
            os.chown(place, mount.uid, mount.gid)
        binds.append(Bind(mount.target, place, readonly=True))


def _files(mount: Mount, scratch: Path, context: Context, tree_of: Trees) -> Path:
    """A copy of what is to be seen: a step that may write to it changes nothing of anybody's."""
    place = Path(tempfile.mkdtemp(dir=scratch)) / "bind"
    _copy(mount, context, tree_of, place)
    return place


def _copy(mount: Mount, context: Context, tree_of: Trees, place: Path) -> None:
    source = mount.source.strip("/") if mount.source.strip("/") != "." else ""
    if mount.node is None:
        start = context.root / source
        if not os.path.lexists(start):
            raise ImageError(f"{mount.source}: not found in the build context")
        found = [(path[len(source):].lstrip("/"), context.root / path) for path in context.walk(source)] \
            if start.is_dir() else []
    else:
        tree = tree_of(mount.node)
        resolved = tree.resolve(source)
        there = tree.find(resolved) if resolved else Path("/")
        if there is None:
            raise ImageError(f"{mount.source}: not found there")
        start = there
        found = [(path[len(resolved):].lstrip("/"), below) for path, below in tree.walk(resolved)] \
            if not resolved or there.is_dir() else []
    if start.is_file():
        _copy_one(start, place)
        return
    place.mkdir()
    for inside, origin in found:
        _copy_one(origin, place / inside)


def _copy_one(origin: Path, target: Path) -> None:
    if origin.is_symlink():
        target.symlink_to(os.readlink(origin))
    elif origin.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        shutil.copystat(origin, target)
    elif origin.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(origin, target)
    else:
        return
    if os.geteuid() == 0:
        found = os.lstat(origin)
        os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
        if not origin.is_symlink():
            os.chmod(target, found.st_mode & 0o7777)
