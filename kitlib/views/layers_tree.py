"""What a layer did, as a tree: directories with what is in them added up, files with what became of them.

    etc            + 1  ~ 1     3.5 kB
      motd         ~            12 B    was 5 B
      nginx        + 1          3.5 kB
        nginx.conf +            3.5 kB

A tree of tens of thousands of files is cut where it is drawn: the largest stay, and what was left out is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SIGNS = {"added": "+", "changed": "~", "removed": "−"}
SEEN = "seen"
_SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def human(count: float) -> str:
    """Bytes as Docker writes them: 214 MB (of a thousand thousands)."""
    for unit, name in _SIZES:
        if count >= unit * 0.9995:
            return f"{count / unit:.3g} {name}"
    return f"{count:.0f} B"


@dataclass
class Node:
    """kind: of the path itself, "" if the layer only has something below it.  size: with all that is below."""

    name: str
    kind: str = ""
    of: str = ""
    size: int = 0
    before: int = 0
    rights: str = ""  # mode and owner
    rights_before: str = ""
    target: str = ""  # of a link
    differs: tuple[str, ...] = ()  # of two images: in what
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIGNS, 0))
    children: dict[str, Node] = field(default_factory=dict)
    layer: int | str = 0  # of what is seen: which layer has it
    cut: int = 0  # how many changes below are not drawn

    @property
    def is_directory(self) -> bool:
        return self.of == "directory" or bool(self.children)

    @property
    def label(self) -> str:
        """etc/, or sh → busybox."""
        return f"{self.name}{'/' * self.is_directory}{f' → {self.target}' if self.target else ''}"

    @property
    def was(self) -> str:
        """Of what changed: what it was before, as far as that differs."""
        if self.kind == SEEN:
            return "of the container" if self.layer == "RW" else f"of layer {self.layer}"
        if self.kind != "changed":
            return ""
        if self.differs:
            size = f" (was {human(self.before)})" if "size" in self.differs else ""
            return f"{', '.join(self.differs)}{size}"
        other = [human(self.before)] if self.of == "file" and self.before != self.size else []
        other += [self.rights_before] if self.rights_before and self.rights_before != self.rights else []
        return f"was {', '.join(other)}" if other else ""

    @property
    def said(self) -> str:
        """+ 3  ~ 1, of what is below it and itself."""
        return "  ".join(f"{SIGNS.get(kind, '')} {count:,}".strip() for kind, count in self.counts.items() if count)

    def sorted(self) -> list[Node]:
        """Directories first, then by name."""
        return sorted(self.children.values(), key=lambda node: (not node.is_directory, node.name))


def build(changes: Iterable[Mapping[str, Any]], most: int = 0) -> Node:
    """changes: as in the JSON form.  most: how many to keep (0: all), the largest of them.

    What a removed file had does not count: the layer has no byte of it.
    """
    given = list(changes)
    kept = {id(each) for each in sorted(given, key=lambda c: (-max(c["size"], c["before"]), c["path"]))[:most]} \
        if 0 < most < len(given) else None
    root = Node("")
    for change in given:
        node, kind = root, change["kind"]
        size = 0 if kind == "removed" else change["size"]
        parts = change["path"].strip("/").split("/")
        draw = kept is None or id(change) in kept
        node.counts[kind] = node.counts.get(kind, 0) + 1
        node.size += size
        for part in parts:
            below = node.children.get(part)
            if below is None:
                if not draw:
                    node.cut += 1
                    break
                below = node.children[part] = Node(part)
            node = below
            node.counts[kind] = node.counts.get(kind, 0) + 1
            node.size += size
        else:
            node.kind, node.of, node.before = kind, change["type"], change["before"]
            node.rights, node.rights_before = change.get("rights", ""), change.get("rightsBefore", "")
            node.target = change.get("target", "")
            node.layer = change.get("layer", 0)
            node.differs = tuple(change.get("differs", ()))
            if kind == "removed":
                node.size += change["size"] if not node.children else 0
    return root


def seen(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a container sees in the end, each path with the layer that has it ("RW": the container's own)."""
    found: dict[str, dict[str, Any]] = {}
    container = report.get("container")
    for number, changes in (*((layer["number"], layer["changes"]) for layer in report["layers"]),
                            *([("RW", container["changes"])] if container else [])):
        for change in changes:
            if change["kind"] == "removed":
                found.pop(change["path"], None)
            else:
                found[change["path"]] = {**change, "kind": SEEN, "layer": number, "before": 0, "rightsBefore": ""}
    return list(found.values())


def lines(node: Node, depth: int = 0) -> Iterator[tuple[int, Node]]:
    """Depth first; not the root itself."""
    for child in node.sorted():
        yield depth, child
        yield from lines(child, depth + 1)
