"""Bytes that everybody who pulls the image gets and nobody sees: files that a later layer replaces or removes.

The figures are dive's, so that both tools can be laid side by side:

    efficiency   sum over all paths of the smallest size it ever had  ÷  sum of all sizes it had in all layers
    wasted       all the bytes of every path that stands in more than one layer

Paths are leaves: files, links, directories with nothing in them.  A whiteout counts as one more layer that has the
path, with the bytes of the whole directory if it was one.  To agree to the last byte, this also has dive's corners:

  * a layer that has something in a directory without having the directory itself makes dive forget that it was one
  * a file that replaces a directory leaves what was in it
  * a whiteout of what is not there ends dive's look at that layer: leaves after it, in the order of their names,
    are not counted, and a path of which nothing more is ever seen has a smallest size of -1

Source: wagoodman/dive, dive/filetree/efficiency.go and file_tree.go.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kitlib.images.explorer.scan import DIRECTORY, OPAQUE_MARK, WHITEOUT, File
from kitlib.images.layer import PREFIX


@dataclass(frozen=True, slots=True)
class Wasted:
    """A path that stands in `count` layers, with `size` bytes in all of them together."""

    path: str
    count: int
    size: int


class Counter:
    """Fed with the layers, the lowest first."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int, int]] = {}  # path → in how many layers, bytes in all, the fewest bytes
        self._below: dict[str, int] = {}   # the tree as dive stacks it: path → bytes, or
        self._directory = -1               # this, for a directory
        self._failed: set[str] = set()     # whiteouts of what was not there
        self._first = True

    def add(self, files: Sequence[File]) -> None:
        # A marker of an opaque directory is no file to dive, but the directory that it lies in is there.
        own: dict[str, int] = {}
        removed: dict[str, None] = {}
        for file in files:
            if file.kind == WHITEOUT:
                removed[file.path] = None
            elif file.kind == OPAQUE_MARK:
                own.setdefault(file.path, 0)
            else:
                own[file.path] = self._directory if file.kind == DIRECTORY else file.size
        own.pop("", None)
        gone = list(removed)
        parents = _parents((*own, *gone))
        for path in parents:
            own.setdefault(path, 0)
        leaves = [(path, max(size, 0)) for path, size in own.items() if path not in parents]
        if gone:
            leaves = self._with_whiteouts(leaves, gone, own)
        known = self._seen
        for path, size in leaves:
            seen = known.get(path)
            known[path] = (1, size, size) if seen is None else (seen[0] + 1, seen[1] + size, min(seen[2], size))
        self._stack(own, gone)
        self._first = False

    def _with_whiteouts(self, leaves: list[tuple[str, int]], gone: list[str],
                        own: dict[str, int]) -> list[tuple[str, int]]:
        below = own if self._first else self._below
        names = sorted(below)
        missing = [path for path in gone if path not in below]
        if missing:
            end, failed = min((_order(path, whiteout=True), path) for path in missing)
            self._failed.add(failed)
            leaves = [leaf for leaf in leaves if _order(leaf[0]) < end]
            gone = [path for path in gone if _order(path, whiteout=True) < end]
        for path in gone:
            size = 0
            if below[path] == self._directory:
                size = sum(max(below[name], 0) for name in inside(names, path))
            leaves.append((path, size))
        return leaves

    def _stack(self, own: dict[str, int], gone: list[str]) -> None:
        below = self._below
        if gone and not self._first:
            names = sorted(below)
            for path in gone:
                below.pop(path, None)
                for name in inside(names, path):
                    below.pop(name, None)
        below.update(own)

    def wasted(self) -> list[Wasted]:
        """The largest first."""
        found = [Wasted(path, count, size) for path, (count, size, _) in self._seen.items() if count > 1]
        return sorted(found, key=lambda each: (-each.size, each.path))

    def efficiency(self) -> float:
        total = sum(size for _, size, _ in self._seen.values())
        least = sum(least for _, _, least in self._seen.values()) - len(self._failed - self._seen.keys())
        return least / total if total else 1.0


def inside(names: Sequence[str], directory: str) -> Sequence[str]:
    """Of sorted names those below a directory."""
    return names[bisect.bisect_left(names, directory + "/"):bisect.bisect_left(names, directory + "0")]  # "/" + 1 = "0"


def _parents(paths: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        above = path.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return found


def _order(path: str, *, whiteout: bool = False) -> list[bytes]:
    """Where dive comes across a leaf: depth first, names sorted by their bytes."""
    parts = [os.fsencode(part) for part in path.split("/")]
    if whiteout:
        parts[-1] = PREFIX.encode() + parts[-1]
    return parts
