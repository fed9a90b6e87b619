"""Layers on top of each other: what a container sees in the end, and what each layer did to what was below it.

A whiteout means what the layers below have, wherever it stands in its own layer.  A file that takes a directory's place
takes away all that was in it.

Source: OCI image-spec, layer.md.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Sequence
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, NamedTuple

from kitlib.images.explorer.scan import DIRECTORY, HARD_LINK, OPAQUE_MARK, WHITEOUT, File
from kitlib.images.explorer.waste import inside

ADDED, CHANGED, REMOVED = "added", "changed", "removed"


class Change(NamedTuple):
    """What a layer does to one path.  file: what it has there (of what is gone: what was there); old: what is below."""

    path: str
    kind: str
    file: File
    old: File | None = None

    @property
    def size(self) -> int:
        return self.file.size

    def json(self) -> dict[str, Any]:
        path, kind, file, old = self
        found = {"path": "/" + path, "kind": kind, "type": file.kind, "size": file.size,
                 "before": 0 if old is None else old.size, "rights": rights(file),
                 "rightsBefore": "" if old is None else rights(old)}
        if file.link:
            found["target"] = file.link
        return found

    def text(self) -> str:
        """The same as JSON text, in a third of the time: an image has tens of thousands of changes."""
        path, kind, file, old = self
        target = f', "target": {_quoted(file.link)}' if file.link else ""
        return (f'{{"path": {_quoted("/" + path)}, "kind": "{kind}", "type": "{file.kind}", "size": {file.size}, '
                f'"before": {0 if old is None else old.size}, "rights": "{file.mode:04o} {file.uid}:{file.gid}", '
                f'"rightsBefore": "{"" if old is None else rights(old)}"{target}}}')


class Tree:
    """path → (file, number of the layer that it is of)."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[File, int]] = {}
        self._linked: dict[str, tuple[str, File, int]] = {}  # path → the file (of the same layer) that it is, too

    def get(self, path: str) -> tuple[File, int] | None:
        return self._seen.get(path)

    def items(self) -> ItemsView[str, tuple[File, int]]:
        return self._seen.items()

    def files(self) -> dict[str, File]:
        return {path: file for path, (file, _) in self._seen.items()}

    def bytes_of_layers(self) -> dict[int, int]:
        """How much of each layer is seen; of a file with several names also if only one of them is."""
        found: dict[int, int] = {}
        for file, number in self._seen.values():
            found[number] = found.get(number, 0) + file.size
        kept = {(number, target): file.size for path, (target, file, number) in self._linked.items()
                if self._seen.get(path, (None, 0))[1] == number and self._seen.get(target) != (file, number)}
        for (number, _), size in kept.items():
            found[number] += size
        return found

    def apply(self, files: Sequence[File], number: int) -> list[Change]:
        """Put a layer on top; what it changed, by path."""
        seen = self._seen
        if not seen:
            seen.update((file.path, (file, number)) for file in files
                        if file.path and file.kind not in (WHITEOUT, OPAQUE_MARK))
            self._link(files, number)
            return [Change(path, ADDED, seen[path][0]) for path in sorted(seen)]
        before = {path: seen.pop(path) for path in self._gone(files)}
        changes = {path: Change(path, REMOVED, file, file) for path, (file, _) in before.items()}
        for file in files:
            path, kind = file.path, file.kind
            if kind in (WHITEOUT, OPAQUE_MARK) or not path:
                continue
            old = seen.get(path)
            if old is None:
                old = before.get(path)
            elif old[1] == number:  # twice in one layer: the last one counts, for what was there before it
                seen[path] = file, number
                if path in changes:
                    changes[path] = changes[path]._replace(file=file)
                continue
            seen[path] = file, number
            if old is None:
                changes[path] = Change(path, ADDED, file)
            elif kind != DIRECTORY or _differ(old[0], file):
                changes[path] = Change(path, CHANGED, file, old[0])
            else:
                changes.pop(path, None)
        self._link(files, number)
        return [changes[path] for path in sorted(changes)]

    def _link(self, files: Sequence[File], number: int) -> None:
        """Notes which file of the same layer a hard link is."""
        for file in files:
            if file.kind == HARD_LINK:
                target = file.link.strip("/").removeprefix("./")
                if (there := self._seen.get(target)) is not None and there[1] == number:
                    self._linked[file.path] = target, there[0], number

    def _gone(self, files: Sequence[File]) -> Iterator[str]:
        """Paths below that the layer hides: by whiteouts, or by a file where a directory was (or the other way)."""
        seen = self._seen
        whole: set[str] = set()
        inner: set[str] = set()
        looked: set[str] = set()
        for file in files:
            path, kind = file.path, file.kind
            if kind == WHITEOUT:
                whole.add(path)
            elif kind == OPAQUE_MARK or (kind != DIRECTORY and path in seen and seen[path][0].kind == DIRECTORY):
                inner.add(path)
            above = path.rpartition("/")[0]
            while above and above not in looked:
                looked.add(above)
                if above in seen and seen[above][0].kind != DIRECTORY:
                    whole.add(above)
                above = above.rpartition("/")[0]
        if not whole and not inner:
            return iter(())
        gone = {path for path in whole if path in seen}
        directories = [path for path in (*inner, *whole) if path not in seen or seen[path][0].kind == DIRECTORY]
        if directories:
            names = sorted(seen)
            for path in directories:
                gone.update(inside(names, path) if path else names)
        return iter(gone)


def rights(file: File) -> str:
    """Mode and owner: 0755 0:0."""
    return f"{file.mode:04o} {file.uid}:{file.gid}"


def _differ(one: File, other: File) -> bool:
    return (one.kind, one.mode, one.uid, one.gid) != (other.kind, other.mode, other.uid, other.gid)
