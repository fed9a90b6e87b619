"""An image taken apart: each instruction with the layer it made, and what that layer adds, changes and removes.

    5  ENTRYPOINT ["nginx"…     0 B
    4  COPY nginx.conf …       3.5 kB   + /etc/nginx/nginx.conf
    3  RUN yum install nginx   214 MB   + 1,203  ~ 12  − 0        18 MB hidden
    1  FROM centos:7           200 MB

Source: the talk's pages 34 to 37; OCI image-spec, config.md (history).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kitlib.images.explorer import secrets, waste
from kitlib.images.explorer.scan import File
from kitlib.images.explorer.source import Place
from kitlib.images.explorer.tree import ADDED, CHANGED, REMOVED, Change, Tree
from kitlib.images.reference import familiar

_DIGEST = re.compile(r"\b((?:file|dir|multi):[0-9a-f]{12})[0-9a-f]{52}\b")
__all__ = ["ADDED", "CHANGED", "REMOVED", "Change", "Layer", "Report", "Step", "instruction_of", "report", "share"]


@dataclass
class Layer:
    """One layer.  number: from 1, the lowest; size: of its files; place: where it is kept (compressed, perhaps).

    hidden: bytes of its files that a later layer replaces or removes; shared: names of other images that have it.
    """

    number: int
    digest: str
    diff_id: str
    place: Place
    instruction: str = ""
    created: str = ""
    size: int = 0
    hidden: int = 0
    shared: tuple[str, ...] = ()
    files: list[File] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


class Step(NamedTuple):
    """A line of the history.  layer: its number, or None if it changed no file."""

    instruction: str
    created: str
    layer: int | None


@dataclass
class Report:
    """steps: the lowest first.  wasted, efficiency: see waste.py.  tree: what a container of the image sees."""

    name: str
    id: str
    layers: list[Layer]
    steps: list[Step]
    wasted: list[waste.Wasted]
    efficiency: float
    secrets: list[secrets.Finding]
    tree: Tree

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)

    @property
    def wasted_bytes(self) -> int:
        return sum(each.size for each in self.wasted)

    def json(self) -> dict[str, Any]:
        """As `kit layers --json` prints it; sizes in bytes.  docs/layers.md says what each field is."""
        return {**self._head(), "layers": [
            {**_head_of(layer), "changes": [change.json() for change in layer.changes]} for layer in self.layers]}

    def text(self, more: Mapping[str, Any] | None = None) -> Iterator[str]:
        """The same as JSON text, a layer at a time, quickly.  more: further fields."""
        yield json.dumps({**self._head(), **(more or {})})[:-1] + ', "layers": ['
        for number, layer in enumerate(self.layers):
            yield (",\n" if number else "\n") + json.dumps(_head_of(layer))[:-1] + ', "changes": [\n'
            yield ",\n".join(map(Change.text, layer.changes)) + "]}"
        yield "]}\n"

    def _head(self) -> dict[str, Any]:
        return {
            "name": self.name, "id": self.id, "size": self.size, "efficiency": round(self.efficiency, 6),
            "wastedBytes": self.wasted_bytes,
            "wasted": [{"path": "/" + w.path, "count": w.count, "size": w.size} for w in self.wasted],
            "secrets": [{"path": s.where, "layer": s.layer, "why": s.why, "hiddenBy": s.hidden_by}
                        for s in self.secrets],
            "steps": [{"instruction": s.instruction, "created": s.created, "layer": s.layer} for s in self.steps]}


def _head_of(layer: Layer) -> dict[str, Any]:
    return {"number": layer.number, "digest": layer.digest, "diffId": layer.diff_id, "size": layer.size,
            "stored": layer.place.size, "hidden": layer.hidden, "sharedWith": list(layer.shared),
            "instruction": layer.instruction}


class Scanned(NamedTuple):
    """What scanning a layer's tar gave."""

    digest: str
    place: Place
    files: list[File]
    secrets: list[secrets.Finding]


def report(name: str, image_id: str, config: Mapping[str, Any], scanned: Iterable[Scanned]) -> Report:
    """Puts the layers on top of each other.  config: as its rootfs and history say what made which."""
    diff_ids = config["rootfs"]["diff_ids"]
    steps = steps_of(config, len(diff_ids))
    instructions = {step.layer: step for step in steps if step.layer is not None}
    layers: list[Layer] = []
    found: list[secrets.Finding] = list(secrets.in_config(config))
    tree, counted = Tree(), waste.Counter()
    for number, (part, diff_id) in enumerate(zip(scanned, diff_ids, strict=True), 1):
        step = instructions[number]
        layer = Layer(number, part.digest, diff_id, part.place, step.instruction, step.created, files=part.files)
        layer.size = sum(file.size for file in part.files)
        counted.add(part.files)
        layer.changes = tree.apply(part.files, number)
        found += part.secrets
        layers.append(layer)
    seen = tree.bytes_of_layers()
    for layer in layers:
        layer.hidden = layer.size - seen.get(layer.number, 0)
    removed = {change.path: layer.number for layer in layers for change in layer.changes if change.kind != ADDED}
    return Report(name, image_id, layers, steps, counted.wasted(), counted.efficiency(),
                  secrets.hidden(found, removed), tree)


def share(report: Report, others: Iterable[tuple[str, Iterable[str]]]) -> None:
    """Notes at each layer which other images have it.  others: (name, its diff ids)."""
    names: dict[str, list[str]] = {}
    for name, diff_ids in others:
        for diff_id in set(diff_ids):
            names.setdefault(diff_id, []).append(familiar(name))
    for layer in report.layers:
        layer.shared = tuple(sorted(set(names.get(layer.diff_id, ())) - {report.name}))


def steps_of(config: Mapping[str, Any], layers: int) -> list[Step]:
    """The history; layers that it does not tell of get a step without words."""
    steps, number = [], 0
    for line in config.get("history") or ():
        empty = bool(line.get("empty_layer"))
        number += not empty
        steps.append(Step(instruction_of(line.get("created_by") or ""), line.get("created") or "",
                          None if empty or number > layers else number))
    return steps + [Step("", "", missing) for missing in range(number + 1, layers + 1)]


def instruction_of(created_by: str) -> str:
    """What stood in the Dockerfile: both builders write more than that into the history."""
    text = _DIGEST.sub(r"\1…", created_by).removesuffix("# buildkit").strip()
    if text.startswith("/bin/sh -c #(nop)"):
        return " ".join(text.removeprefix("/bin/sh -c #(nop)").split())
    if text.startswith("RUN /bin/sh -c "):
        return "RUN " + text.removeprefix("RUN /bin/sh -c ").strip()
    if text.startswith("/bin/sh -c "):
        return "RUN " + text.removeprefix("/bin/sh -c ").strip()
    return text
