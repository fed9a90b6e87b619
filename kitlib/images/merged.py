"""Layers seen as one tree, without mounting anything: what overlayfs shows, for looking and for copying.

    top     etc/.wh.motd ──┐
    middle  etc/motd        ├──▶ etc/ has neither motd nor a trace of it
    bottom  etc/motd ──────┘

Source: Linux, Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from kitlib.images import layerwriter, owners
from kitlib.images.layerwriter import Entry
from kitlib.runtime import inroot

_OPAQUE_MARKS = ("trusted.overlay.opaque", "user.overlay.opaque")


class Merged:
    """trees: directories with overlayfs's marks, the topmost first."""

    def __init__(self, trees: Sequence[Path]) -> None:
        self._trees = tuple(trees)
        self._mine = -1 if os.geteuid() == 0 else os.geteuid()

    def find(self, path: str) -> Path | None:
        """Where a path (no leading slash, no links on its way) lies on this machine, or None."""
        for tree in self._trees:
            place = tree
            parts = path.split("/") if path else []
            for i, part in enumerate(parts):
                place = place / part
                try:
                    found = os.lstat(place)
                except FileNotFoundError:
                    if _hides(place.parent):
                        return None
                    break
                except NotADirectoryError:
                    return None
                if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
                    return None
                if i < len(parts) - 1 and not stat.S_ISDIR(found.st_mode):
                    return None
            else:
                return place
        return None

    def is_directory(self, path: str) -> bool:
        place = self.find(path)
        return place is not None and stat.S_ISDIR(os.lstat(place).st_mode)

    def entry(self, path: str, place: Path, name: str) -> Entry:
        """What lies at a path (which `find` has found at `place`), as an entry of a layer called `name`."""
        entry = layerwriter.of_file(place, name, mine=self._mine)
        known = self.owner(path, place)
        return entry if known is None else replace(entry, uid=known[0], gid=known[1], mode=known[2])

    def owner(self, path: str, place: Path) -> tuple[int, int, int] | None:
        """uid, gid and mode where the file itself does not tell."""
        for tree in self._trees:
            if place.is_relative_to(tree):
                return owners.of_tree(tree).get(path)
        return None

    def names(self, path: str) -> list[str]:
        """What is in a directory."""
        found: dict[str, bool] = {}
        for tree in self._trees:
            place = tree / path
            above = [tree / "/".join(path.split("/")[:i]) for i in range(1, path.count("/") + 2)] if path else []
            if any(_is_whiteout(each) for each in above):
                break
            if place.is_symlink() or not place.is_dir():
                if os.path.lexists(place):
                    break
                if any(_hides(each) for each in above if each.is_dir()):
                    break
                continue
            for name in os.listdir(place):
                found.setdefault(name, not _is_whiteout(place / name))
            if any(_hides(each) for each in above):
                break
        return sorted(name for name, there in found.items() if there)

    def resolve(self, path: str, *, last: bool = True) -> str:
        """The same path with its symbolic links followed (last: also that of its last part), inside the tree."""
        def target(step: str) -> str | None:
            place = self.find(step)
            return None if place is None else inroot.readlink(str(place))

        return inroot.follow(path, target, last=last)

    def walk(self, path: str) -> Iterator[tuple[str, Path]]:
        """Every path below one, directories before what is in them: (path, where it lies)."""
        for name in self.names(path):
            below = f"{path}/{name}" if path else name
            place = self.find(below)
            if place is None:
                continue
            yield below, place
            if place.is_dir() and not place.is_symlink():
                yield from self.walk(below)


def _is_whiteout(place: Path) -> bool:
    try:
        found = os.lstat(place)
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _hides(directory: Path) -> bool:
    """Whether a directory is opaque: nothing of the layers below shows."""
    for mark in _OPAQUE_MARKS:
        try:
            if os.getxattr(directory, mark) == b"y":
                return True
        except OSError:
            continue
    return False
