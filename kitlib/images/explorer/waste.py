"""Bytes that everybody who pulls the image gets and nobody sees: files that a later layer replaces or removes.

The figures are dive's, so that both tools can be laid side by side:

    efficiency   sum over all paths of the smallest size it ever had  ÷  sum of all sizes it had in all layers
    wasted       all the bytes of every path that stands in more than one layer

Source: wagoodman/dive, dive/filetree/efficiency.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kitlib.images.explorer.scan import DIRECTORY, OPAQUE_MARK, WHITEOUT, File


@dataclass(frozen=True, slots=True)
class Wasted:
    """A path that stands in `count` layers, with `size` bytes in all of them together."""

    path: str
    count: int
    size: int


class Counter:
    """Fed with the layers, the lowest first."""

    def __init__(self) -> None:
        self._seen: dict[str, list[int]] = {}  # path → its size in each layer that has it

    def add(self, files: Iterable[File], below: Mapping[str, File]) -> None:
        """below: the tree that the layers under it show."""
        own = {file.path: file for file in files if file.kind != OPAQUE_MARK}
        parents = {path.rpartition("/")[0] for path in own}
        for path, file in own.items():
            if not path or (file.kind == DIRECTORY and path in parents):
                continue  # dive counts leaves: files, links, empty directories
            size = file.size
            if file.kind == WHITEOUT:
                before = below.get(path)
                size = 0
                if before is not None and before.kind == DIRECTORY:
                    size = sum(each.size for name, each in below.items() if name.startswith(path + "/"))
            self._seen.setdefault(path, []).append(size)

    def wasted(self) -> list[Wasted]:
        """The largest first."""
        found = [Wasted(path, len(sizes), sum(sizes)) for path, sizes in self._seen.items() if len(sizes) > 1]
        return sorted(found, key=lambda each: (-each.size, each.path))

    def efficiency(self) -> float:
        total = sum(map(sum, self._seen.values()))
        return sum(map(min, self._seen.values())) / total if total else 1.0
