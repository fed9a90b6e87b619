"""Two images side by side: which layers they share, and how what they show differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kitlib.images.explorer.report import Report
from kitlib.images.explorer.scan import DIRECTORY, File


@dataclass(frozen=True, slots=True)
class Difference:
    """shared: diff ids of common layers; added and removed: files of only one; changed: path → (size, size)."""

    shared: tuple[str, ...]
    shared_bytes: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: Mapping[str, tuple[int, int]]


def compare(one: Report, other: Report) -> Difference:
    known = {layer.diff_id: layer for layer in one.layers}
    shared = tuple(layer.diff_id for layer in other.layers if layer.diff_id in known)
    first, second = one.tree.files(), other.tree.files()
    changed = {path: (first[path].size, second[path].size) for path in sorted(first.keys() & second.keys())
               if _differs(first[path], second[path])}
    return Difference(shared, sum(known[diff_id].size for diff_id in shared),
                      tuple(sorted(p for p in second if p not in first)),
                      tuple(sorted(p for p in first if p not in second)), changed)


def _differs(one: File, other: File) -> bool:
    if one.kind != other.kind:
        return True
    if one.kind == DIRECTORY:
        return False
    return (one.size, one.mode, one.link, one.mtime) != (other.size, other.mode, other.link, other.mtime)
