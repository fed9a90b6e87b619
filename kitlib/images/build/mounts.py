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

    def place(self, mount: Mount, stack: contextlib.ExitStack) -> Path:
        """`locked`: one step at a time; `private`: one of its own if somebody else has it."""
        place = self._root / hashlib.sha256(mount.identity.encode()).hexdigest()[:24]
        if mount.sharing == "private":
            number = 0
            while not self._lock(place, stack, wait=False):
                number += 1
                place = place.with_name(f"{place.name.partition('.')[0]}.{number}")
        elif mount.sharing == "locked":
            self._lock(place, stack, wait=True)
        place.mkdir(parents=True, exist_ok=True)
        if mount.mode:
            place.chmod(mount.mode)
        return place

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
            binds.append(Bind(mount.target, caches.place(mount, stack), mount.readonly))
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
    source = mount.source.strip("/") or ""
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
        shutil.copy2(start, place)
        return place
    place.mkdir()
    for inside, origin in found:
        target = place / inside
        if origin.is_symlink():
            target.symlink_to(os.readlink(origin))
        elif origin.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif origin.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(origin, target)
    return place
