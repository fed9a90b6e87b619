"""A container's files: the image below, what Docker puts into every container, and what this one changes.

    lowerdir = init : image's layers     read-only      init: mount points for /etc/hosts and the kernel's directories
    upperdir = rw/upper                  its own

Where nothing can be stacked (the runtime process with proot), rw/root is a copy of the image, made at its creation.

Source: moby 20.10, daemon/initlayer/setup_unix.go, daemon/graphdriver/overlay2.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kitlib.engine.errors import EngineError
from kitlib.images.layer import Whiteouts
from kitlib.images.merged import Merged
from kitlib.images.store import ImageStore, StoredImage
from kitlib.runtime.inroot import follow, readlink
from kitlib.runtime.process.images import COPY, OVERLAY
from kitlib.runtime.treecopy import copy_tree

_DIRECTORIES = ("dev/pts", "dev/shm", "proc", "sys", "etc")
_FILES = ("dev/console", "etc/hosts", "etc/hostname", "etc/resolv.conf", ".dockerenv")


def layers_of(store: ImageStore, image: StoredImage, stacking: str) -> list[str]:
    """The image's directories, the lowest first; unpacked if nobody has done that yet."""
    if stacking == COPY:
        return [str(store.flat(image))]
    marks = Whiteouts.OVERLAY if stacking == OVERLAY else Whiteouts.USER
    return [str(store.unpacked(image, number, marks)) for number in range(len(image.layers))]


def make(place: Path, layers: Sequence[str], stacking: str) -> list[str]:
    """The container's own directories.  Returns what is below the read-write layer, the lowest first."""
    rw = place / "rw"
    rw.mkdir(parents=True)
    if stacking == COPY:
        (rw / "root").mkdir()
        if layers:
            copy_tree(layers[0], str(rw / "root"))
        furnish(rw / "root")
        return list(layers)
    (rw / "upper").mkdir()
    init = place / "init"
    init.mkdir(mode=0o755)
    tree = Merged([Path(one) for one in reversed(layers)])
    etc = tree.resolve("etc")
    if etc != "etc":  # the image's /etc is a link: what belongs there lies where it leads
        (init / etc).mkdir(parents=True)
    furnish(init, etc)
    for parent, directories, _ in os.walk(init):  # a directory of the image keeps its mode and owner
        for name in directories:
            own = Path(parent, name)
            below = tree.find(os.path.relpath(own, init))
            if below is not None and below.is_dir() and not below.is_symlink():
                found = below.stat()
                own.chmod(found.st_mode & 0o7777)
                if os.geteuid() == 0:
                    os.chown(own, found.st_uid, found.st_gid)
    links = place / "l"  # short names: mount(2) takes one page of options
    links.mkdir()
    for number, layer in enumerate([*layers, str(init)]):
        (links / str(number)).symlink_to(layer)
    return [str(links / str(number)) for number in range(len(layers) + 1)]


def furnish(root: Path, etc: str = "etc") -> None:
    """Mount points that every container has."""
    for name in _DIRECTORIES:
        inside = follow(name.replace("etc", etc, 1), lambda step: readlink(str(root / step)))
        (root / inside).mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        place = root / (name if not name.startswith("etc/") else f"{etc}/{name[4:]}")
        if not os.path.lexists(place):
            place.touch(0o755)
            place.chmod(0o755)
    if not os.path.lexists(root / etc / "mtab"):
        os.symlink("/proc/mounts", root / etc / "mtab")


def check_directory(trees: Sequence[Path], path: str) -> None:
    """A working directory may be missing, but it cannot be something else.  Raises EngineError."""
    found = Merged(trees)
    place = found.find(found.resolve(path)) if path else None
    if place is not None and not place.is_dir():
        raise EngineError(500, f"Cannot mkdir: {path} is not a directory")


def tree(rw: Path, layers: Sequence[str], stacking: str) -> list[Path]:
    """All of it, the topmost first, for `Merged`."""
    if stacking == COPY:
        return [rw / "root"]
    return [rw / "upper", *(Path(one) for one in reversed(layers))]
