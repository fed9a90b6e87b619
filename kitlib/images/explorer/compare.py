"""Two images, or two builds of one, side by side: shared layers, which instruction broke the cache, what differs.

    before                               after
    3  RUN make            2 MB    ≠     3  RUN make             2 MB     follows: what is below it changed
    2  COPY . /src         1 MB    ≠     2  COPY . /src          1 MB     broke: /src/main.c differs
    1  ADD base.tar /     80 MB    =     1  ADD base.tar /      80 MB     the same layer, kept once

Contents are compared, and not only sizes and times: a build with fixed times gives files that differ in nothing else.
What differs in its time only is counted, but not listed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kitlib.images.explorer import contents
from kitlib.images.explorer.report import ADDED, CHANGED, REMOVED, Layer, Report, Step
from kitlib.images.explorer.scan import DIRECTORY, FILE, OPAQUE_MARK, WHITEOUT, File

SAME, BROKE, FOLLOWS, SAME_BYTES = "same", "broke", "follows", "same bytes"
_COPIED = re.compile(r"\b(file|dir|multi):[0-9a-f]+…?")
_SHOWN = 3


class FileDifference(NamedTuple):
    """of: directory, file, link, hard link, other.

    differs: of content, size, mode, owner, target, type (of what is in both).
    """

    path: str
    kind: str
    of: str
    size: int
    before: int
    differs: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        return {"path": "/" + self.path, "kind": self.kind, "type": self.of, "size": self.size, "before": self.before,
                "differs": list(self.differs)}


class Files(NamedTuple):
    """only_times: how many differ in nothing but their time."""

    differences: list[FileDifference]
    only_times: int


@dataclass
class Pair:
    """An instruction before and after.  verdict: same, broke (the first that is not), follows, same bytes."""

    before: Step | None
    after: Step | None
    verdict: str
    why: str = ""
    files: Files = field(default_factory=lambda: Files([], 0))


@dataclass
class Comparison:
    """shared: diff ids of layers that both have; pairs: the lowest instruction first; files: what containers see."""

    before: Report
    after: Report
    shared: tuple[str, ...]
    shared_bytes: int
    pairs: list[Pair]
    files: Files

    @property
    def broke(self) -> Pair | None:
        return next((pair for pair in self.pairs if pair.verdict == BROKE), None)

    def json(self) -> dict[str, Any]:
        """As `kit layers --compare --json` prints it (docs/layers.md)."""
        def image(report: Report) -> dict[str, Any]:
            return {"name": report.name, "id": report.id, "size": report.size, "layers": len(report.layers),
                    "efficiency": round(report.efficiency, 6), "wastedBytes": report.wasted_bytes}

        def step(found: Step | None, report: Report) -> dict[str, Any] | None:
            if found is None:
                return None
            layer = _layer(found, report)
            return {"instruction": found.instruction, "layer": found.layer, "size": layer.size if layer else 0,
                    "diffId": layer.diff_id if layer else ""}

        return {"before": image(self.before), "after": image(self.after), "shared": list(self.shared),
                "sharedBytes": self.shared_bytes,
                "broke": next((i for i, pair in enumerate(self.pairs) if pair.verdict == BROKE), None),
                "steps": [{"verdict": pair.verdict, "why": pair.why, "before": step(pair.before, self.before),
                           "after": step(pair.after, self.after),
                           "files": [each.json() for each in pair.files.differences],
                           "onlyTimes": pair.files.only_times} for pair in self.pairs],
                "files": [each.json() for each in self.files.differences], "onlyTimes": self.files.only_times}


def compare(before: Report, after: Report) -> Comparison:
    """Both with their layers still in place (look.opened).  Raises ImageError if one is damaged."""
    known = {layer.diff_id: layer for layer in before.layers}
    shared = tuple(dict.fromkeys(layer.diff_id for layer in after.layers if layer.diff_id in known))
    return Comparison(before, after, shared, sum(known[diff_id].size for diff_id in shared), _pairs(before, after),
                      _of_images(before, after))


# Which instruction.


def _pairs(before: Report, after: Report) -> list[Pair]:
    pairs = []
    broken = False
    for one, other in _aligned(before.steps, after.steps):
        old, new = _layer(one, before), _layer(other, after)
        same_words = one is not None and other is not None and one.instruction == other.instruction
        same_layer = (old.diff_id if old else "") == (new.diff_id if new else "")
        if same_words and same_layer:
            pairs.append(Pair(one, other, SAME_BYTES if broken else SAME))
            continue
        files = _of_layers(old, new) if old is not None and new is not None and not same_layer else Files([], 0)
        if broken:
            verdict, why = FOLLOWS, _follows(one, other, files)
        else:
            verdict, why, broken = BROKE, _why(one, other, old, new, files, lowest=not any(
                pair.before is not None and pair.before.layer for pair in pairs)), True
        pairs.append(Pair(one, other, verdict, why, files))
    return pairs


def _aligned(before: list[Step], after: list[Step]) -> Iterable[tuple[Step | None, Step | None]]:
    old, new = ([_COPIED.sub(r"\1", step.instruction) for step in steps] for steps in (before, after))
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from zip(before[a:b], after[c:d], strict=True)
            continue
        for i in range(max(b - a, d - c)):
            yield (before[a + i] if a + i < b else None), (after[c + i] if c + i < d else None)


def _why(one: Step | None, other: Step | None, old: Layer | None, new: Layer | None, files: Files, *,
         lowest: bool) -> str:
    if one is None:
        return "it is new"
    if other is None:
        return "it is not there any more"
    verb = other.instruction.partition(" ")[0].upper()
    if _COPIED.sub(r"\1", one.instruction) != _COPIED.sub(r"\1", other.instruction):
        return "its words changed"
    if old is None or new is None:
        return "it changed files in one of the two only" if old is not new else "its words changed"
    if lowest and verb not in ("COPY", "RUN"):
        return f"the image begins with another layer: {_named(files)}"
    if verb in ("COPY", "ADD"):
        return f"what it copies changed: {_named(files)}"
    return f"the same words on the same layers ran again, and made something else: {_named(files)}"


def _follows(one: Step | None, other: Step | None, files: Files) -> str:
    if one is None or other is None:
        return "it is new" if one is None else "it is not there any more"
    if _COPIED.sub(r"\1", one.instruction) != _COPIED.sub(r"\1", other.instruction):
        return "its words changed, too"
    if one.instruction != other.instruction:
        return f"what it copies changed, too: {_named(files)}"
    if not files.differences and not files.only_times:
        return ""
    return f"made again, since what is below it changed: {_named(files)}"


def _named(files: Files) -> str:
    """The first few."""
    listed = [each for each in files.differences if each.of != DIRECTORY] or files.differences
    if not listed:
        return f"only times ({files.only_times:,} of them)" if files.only_times else "the order of its files"
    words = ", ".join(f"/{each.path} ({', '.join(each.differs) or each.kind})" for each in listed[:_SHOWN])
    return words + (f" and {len(listed) - _SHOWN:,} more" if len(listed) > _SHOWN else "")


def _layer(step: Step | None, report: Report) -> Layer | None:
    return report.layers[step.layer - 1] if step is not None and step.layer else None


# Which files.


_Tree = Mapping[str, tuple[File, Layer]]


def _of_layers(old: Layer, new: Layer) -> Files:
    """What two layers have: a whiteout counts as something that the layer has."""
    return _files(*({_marked(file): (file, layer) for file in layer.files if file.path} for layer in (old, new)))


def _of_images(before: Report, after: Report) -> Files:
    return _files(*({path: (file, report.layers[number - 1]) for path, (file, number) in report.tree.items()}
                    for report in (before, after)))


def _files(before: _Tree, after: _Tree) -> Files:
    found = [FileDifference(path, ADDED, file.kind, file.size, 0)
             for path, (file, _) in after.items() if path not in before]
    found += [FileDifference(path, REMOVED, file.kind, file.size, file.size)
              for path, (file, _) in before.items() if path not in after]
    common = [path for path, (_, layer) in after.items()
              if path in before and before[path][1].diff_id != layer.diff_id]
    unsure = {path for path in common if _needs_reading(before[path][0], after[path][0])}
    contents_of = [_digests(tree, unsure) for tree in (before, after)]
    only_times = 0
    for path in common:
        old, new = before[path][0], after[path][0]
        differs = _differs(old, new)
        if path in unsure and contents_of[0].get(path) != contents_of[1].get(path):
            differs = ("content", *differs)
        if differs:
            found.append(FileDifference(path, CHANGED, new.kind, new.size, old.size, differs))
        elif old.mtime != new.mtime and new.kind != DIRECTORY:
            only_times += 1
    return Files(sorted(found), only_times)


def _marked(file: File) -> str:
    return {WHITEOUT: f"{file.path} (removed)", OPAQUE_MARK: f"{file.path} (emptied)"}.get(file.kind, file.path)


def _needs_reading(old: File, new: File) -> bool:
    return old.kind == new.kind == FILE and old.size == new.size > 0 and old.offset >= 0 and new.offset >= 0


def _digests(tree: _Tree, paths: Iterable[str]) -> dict[str, str]:
    """Path → digest of what is in the file."""
    by_layer: dict[int, tuple[Layer, list[File]]] = {}
    for path in paths:
        file, layer = tree[path]
        by_layer.setdefault(layer.number, (layer, []))[1].append(file)
    found: dict[str, str] = {}
    for layer, files in by_layer.values():
        found |= contents.digests(layer.place, files)
    return found


def _differs(old: File, new: File) -> tuple[str, ...]:
    if old.kind != new.kind:
        return ("type",)
    found = {"size": old.size != new.size, "mode": old.mode != new.mode, "target": old.link != new.link,
             "owner": (old.uid, old.gid) != (new.uid, new.gid)}
    return tuple(name for name, is_so in found.items() if is_so)
