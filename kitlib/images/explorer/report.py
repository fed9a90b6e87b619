"""An image taken apart: each instruction with the layer it made, and what that layer adds, changes and removes.

    5  ENTRYPOINT ["nginx"…     0 B
    4  COPY nginx.conf …       3.5 kB   + /etc/nginx/nginx.conf
    3  RUN yum install nginx   214 MB   + 1,203  ~ 12  − 0        wasted 18 MB
    1  FROM centos:7           200 MB

Source: the talk's pages 34 to 37; OCI image-spec, config.md (history).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kitlib.images.explorer import scan, secrets, waste
from kitlib.images.explorer.scan import DIRECTORY, OPAQUE_MARK, WHITEOUT, File
from kitlib.images.store import ImageStore, StoredImage

ADDED, CHANGED, REMOVED = "added", "changed", "removed"


@dataclass(frozen=True, slots=True)
class Change:
    """What a layer does to one path.  size: of the file in this layer (of what is gone: what it had); before: bytes."""

    path: str
    kind: str
    size: int = 0
    before: int = 0


@dataclass
class Layer:
    """One layer.  number: from 1, the lowest; size: of its files; stored: as it is kept (compressed, perhaps)."""

    number: int
    digest: str
    diff_id: str
    stored: int
    instruction: str = ""
    created: str = ""
    size: int = 0
    files: list[File] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def count(self, kind: str) -> int:
        return sum(1 for change in self.changes if change.kind == kind)


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the history.  layer: its number, or None if it changed no file."""

    instruction: str
    created: str
    layer: int | None


@dataclass
class Report:
    """steps: the lowest first.  wasted, efficiency: see waste.py."""

    name: str
    id: str
    layers: list[Layer]
    steps: list[Step]
    wasted: list[waste.Wasted]
    efficiency: float
    secrets: list[secrets.Finding]

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)

    @property
    def wasted_bytes(self) -> int:
        return sum(each.size for each in self.wasted)

    def json(self) -> dict[str, Any]:
        """As `kit layers --json` prints it; sizes in bytes."""
        return {
            "name": self.name, "id": self.id, "size": self.size, "efficiency": round(self.efficiency, 6),
            "wastedBytes": self.wasted_bytes,
            "wasted": [{"path": "/" + w.path, "count": w.count, "size": w.size} for w in self.wasted],
            "secrets": [{"path": s.where, "layer": s.layer, "why": s.why, "hiddenBy": s.hidden_by}
                        for s in self.secrets],
            "steps": [{"instruction": s.instruction, "created": s.created, "layer": s.layer} for s in self.steps],
            "layers": [{"number": layer.number, "digest": layer.digest, "diffId": layer.diff_id, "size": layer.size,
                        "stored": layer.stored, "instruction": layer.instruction,
                        "changes": [{"path": "/" + c.path, "kind": c.kind, "size": c.size, "before": c.before}
                                    for c in layer.changes]} for layer in self.layers]}


def analyse(store: ImageStore, image: StoredImage) -> Report:
    """Raises ImageError if a layer is damaged."""
    steps = _steps(image)
    instructions = {step.layer: step for step in steps if step.layer is not None}
    layers: list[Layer] = []
    found: list[secrets.Finding] = list(secrets.in_config(image.config))
    tree: dict[str, File] = {}
    counted = waste.Counter()
    for number, (descriptor, diff_id) in enumerate(zip(image.layers, image.diff_ids, strict=True), 1):
        step = instructions.get(number)
        layer = Layer(number, descriptor.digest, diff_id, descriptor.size, step.instruction if step else "",
                      step.created if step else "")
        looker = secrets.Looker(number)
        layer.files = list(scan.entries(store.blob(descriptor.digest), looker.look))
        layer.size = sum(file.size for file in layer.files)
        counted.add(layer.files, tree)
        layer.changes = _apply(layer.files, tree)
        found += looker.found
        layers.append(layer)
    hidden = secrets.hidden(found, layers_of_removals(layers), tree)
    return Report(image.name, image.id, layers, steps, counted.wasted(), counted.efficiency(), hidden)


def layers_of_removals(layers: Iterable[Layer]) -> dict[str, int]:
    """Path → the last layer that removed or replaced it."""
    return {change.path: layer.number for layer in layers for change in layer.changes if change.kind != ADDED}


def _steps(image: StoredImage) -> list[Step]:
    steps, number = [], 0
    for line in image.config.get("history") or ():
        empty = bool(line.get("empty_layer"))
        number += not empty
        steps.append(Step(instruction_of(line.get("created_by", "")), line.get("created", ""),
                          None if empty or number > len(image.layers) else number))
    missing = range(number + 1, len(image.layers) + 1)
    return steps + [Step("", "", n) for n in missing]


def instruction_of(created_by: str) -> str:
    """What stood in the Dockerfile: both builders write more than that into the history."""
    text = created_by.removesuffix("# buildkit").strip()
    if text.startswith("/bin/sh -c #(nop)"):
        return " ".join(text.removeprefix("/bin/sh -c #(nop)").split())
    if text.startswith("RUN /bin/sh -c "):
        return "RUN " + text.removeprefix("RUN /bin/sh -c ").strip()
    if text.startswith("/bin/sh -c "):
        return "RUN " + text.removeprefix("/bin/sh -c ").strip()
    return text


def _apply(files: list[File], tree: dict[str, File]) -> list[Change]:
    """Put a layer's entries onto the tree; what changed by it."""
    changes: dict[str, Change] = {}
    for file in files:
        if file.kind == WHITEOUT:
            gone = [p for p in tree if p == file.path or p.startswith(file.path + "/")]
        elif file.kind == OPAQUE_MARK:
            mine = {f.path for f in files}
            gone = [p for p in tree if p.startswith(file.path + "/") and p not in mine]
        else:
            before = tree.get(file.path)
            if before is None:
                changes[file.path] = Change(file.path, ADDED, file.size)
            elif before.kind != DIRECTORY or file.kind != DIRECTORY or (before.mode, before.uid, before.gid) != (
                    file.mode, file.uid, file.gid):
                changes[file.path] = Change(file.path, CHANGED, file.size, before.size)
            tree[file.path] = file
            continue
        for path in gone:
            before = tree.pop(path)
            changes[path] = Change(path, REMOVED, before.size, before.size)
    return [changes[path] for path in sorted(changes) if path]
