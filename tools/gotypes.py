"""Reads the struct types of a Go API package: just enough Go to get at fields, tags and markers.

Kubernetes' API types follow strict conventions (one field a line, tags in backquotes, markers as
`// +name=value` in the comment above), so a line reader is enough and a Go toolchain isn't needed.
What it meets and does not understand is an error, never a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

TYPE = re.compile(r"^type (\w+) (=\s*)?(.+?)\s*(//.*)?$")
FIELD = re.compile(r"^\s+(?:(\w+)\s+)?([\w.*\[\]{}]+)\s+`([^`]*)`\s*(//.*)?$")
UNTAGGED = re.compile(r"^\s+(\w+)(\s+[\w.*\[\]]+)?\s*(//.*)?$")
MARKER = re.compile(r"^\s*//\s*\+([\w:.]+)(?:=(.*?))?\s*$")
CONST = re.compile(r'^\s+(\w+)\s+(\w+)\s*=\s*"([^"]*)"')
SINGLE_CONST = re.compile(r'^const (\w+)\s+(\w+)\s*=\s*"([^"]*)"')
IMPORT = re.compile(r'^\s+(?:(\w+)\s+)?"(k8s\.io/[^"]+)"')


@dataclass
class GoField:
    """A field: its Go name ("" when embedded), type as written, tags and markers."""

    name: str
    type: str
    tags: dict[str, str]
    markers: list[tuple[str, str]]

    @property
    def json_name(self) -> str:
        return self.tags.get("json", "").split(",")[0]

    @property
    def json_options(self) -> list[str]:
        return self.tags.get("json", "").split(",")[1:]

    def marker(self, name: str) -> list[str]:
        return [value for key, value in self.markers if key == name]


@dataclass
class GoType:
    """A named type: a struct with fields, or another name for `underlying`."""

    name: str
    underlying: str = ""
    fields: list[GoField] = field(default_factory=list)
    markers: list[tuple[str, str]] = field(default_factory=list)
    values: list[str] = field(default_factory=list)

    def marker(self, name: str) -> list[str]:
        return [value for key, value in self.markers if key == name]


@dataclass
class GoPackage:
    types: dict[str, GoType]
    imports: dict[str, str]
    kinds: list[str]
    constants: dict[str, str]


def _tags(text: str) -> dict[str, str]:
    return dict(re.findall(r'(\w+):"([^"]*)"', text))


def read_package(folder: Path, files: list[str]) -> GoPackage:
    """All types of the named files; the kinds are those that the package registers."""
    package = GoPackage({}, {}, [], {})
    for name in files:
        _read_file(folder / name, package)
    for type_name, value in [(t, v) for t, v in package.constants.items() if "/" in t]:
        owner, _, constant = type_name.partition("/")
        package.constants[constant] = value
        if owner in package.types:
            package.types[owner].values.append(value)
    register = folder / "register.go"
    if register.exists():
        body = register.read_text().partition("func addKnownTypes")[2].partition("\n}\n")[0]
        package.kinds = [kind for kind in re.findall(r"&(\w+)\{\}", body) if kind in package.types]
    return package


def _read_file(path: Path, package: GoPackage) -> None:
    current: GoType | None = None
    markers: list[tuple[str, str]] = []
    in_block_comment = False
    for line in path.read_text().splitlines():
        stripped = line.strip()
        if in_block_comment or stripped.startswith("/*"):
            in_block_comment = "*/" not in stripped
            continue
        if current is not None:
            current, markers = _struct_line(path, line, current, markers)
            continue
        if match := MARKER.match(line):
            markers.append((match[1], match[2] or ""))
        elif match := TYPE.match(line):
            current = _new_type(match, markers, package)
            markers = []
        elif match := IMPORT.match(line):
            package.imports[match[1] or match[2].rsplit("/", 1)[-1]] = match[2]
        elif match := CONST.match(line) or SINGLE_CONST.match(line):
            package.constants[f"{match[2]}/{match[1]}"] = match[3]
        elif stripped and not stripped.startswith("//"):
            markers = []


def _new_type(match: re.Match[str], markers: list[tuple[str, str]], package: GoPackage) -> GoType | None:
    """Registers the type; returns it if its fields follow on the next lines."""
    name, body = match[1], match[3]
    if body.startswith(("interface", "func")):
        return None
    made = GoType(name, markers=list(markers))
    package.types[name] = made
    if body == "struct {":
        return made
    if not body.startswith("struct{"):
        made.underlying = body
    return None


def _struct_line(path: Path, line: str, current: GoType,
                 markers: list[tuple[str, str]]) -> tuple[GoType | None, list[tuple[str, str]]]:
    stripped = line.strip()
    if line.startswith("}"):
        return None, []
    if match := MARKER.match(line):
        return current, [*markers, (match[1], match[2] or "")]
    if stripped.startswith("//"):
        return current, markers
    if not stripped:
        return current, markers if markers else []
    if match := FIELD.match(line):
        current.fields.append(GoField(match[1] or "", match[2], _tags(match[3]), markers))
        return current, []
    if UNTAGGED.match(line):  # not part of the API's JSON: RawExtension.Object, Time.Time
        return current, []
    raise ValueError(f"{path}: cannot read {line!r} in {current.name}")
