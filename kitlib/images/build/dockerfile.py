"""A Dockerfile's text, read into instructions.

    # escape=`                directive: only at the very top
    RUN --mount=type=cache,target=/x \
        make                  one instruction, two lines; comments between them do not count
    COPY <<EOF /etc/motd      heredoc: the file is in the lines that follow
    hello
    EOF

What the arguments mean (variables, stages) is the next files' business.  Every complaint names line and column.

Source: docs.docker.com/reference/dockerfile; moby/buildkit, frontend/dockerfile/parser.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

INSTRUCTIONS = ("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
                "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")
_JSON = ("ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME")  # may be written as a JSON list
_HEREDOCS = ("ADD", "COPY", "RUN")
_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_DIRECTIVES = ("syntax", "escape", "check")
_HEREDOC = re.compile(r"(?<![^\s(;|&])\d*<<(?P<chomp>-?)(?P<quote>['\"]?)(?P<name>[a-zA-Z_]\w*)(?P=quote)(?!\S)")
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(\"(?:[^\"\\]|\\.)*\"|\S*))?(?=\s|$)")


class Place(NamedTuple):
    """Lines and columns count from 1, as editors do."""

    line: int
    column: int = 1


class DockerfileError(Exception):
    """What is wrong, and where: `Dockerfile:3:5: unknown instruction: RUNN (did you mean RUN?)`."""

    def __init__(self, place: Place, sentence: str, file: str = "Dockerfile") -> None:
        super().__init__(f"{file}:{place.line}:{place.column}: {sentence}")
        self.place, self.sentence = place, sentence


@dataclass(frozen=True)
class Heredoc:
    """expand: whether $VARIABLES in it count (its delimiter was not quoted)."""

    name: str
    content: str
    expand: bool = True


@dataclass(frozen=True)
class Instruction:
    """One instruction.  `json`: it was written as a JSON list, which then is `words`; else `text` has all of it."""

    name: str
    place: Place
    text: str  # what follows the name and its flags, lines joined
    flags: tuple[tuple[str, str], ...] = ()
    words: tuple[str, ...] = ()
    json: bool = False
    heredocs: tuple[Heredoc, ...] = ()
    source: str = ""  # as it stands in the file
    end: int = 0  # its last line
    joined: str = ""  # the same in one line, without heredocs
    number: int = 0  # 1 is the file's first

    def where(self, part: str) -> Place:
        """Where a part of it stands in the file, or where it begins if the part does not stand there as it is."""
        before, there, _ = self.source.partition(part) if part else ("", "", "")
        if not there:
            return self.place
        line = before.rpartition("\n")[2]
        return Place(self.place.line + before.count("\n"), len(line) + 1)

    def flag(self, name: str, default: str = "") -> str:
        return next((value for key, value in self.flags if key == name), default)


@dataclass(frozen=True)
class Dockerfile:
    instructions: tuple[Instruction, ...]
    escape: str = "\\"
    directives: dict[str, str] = field(default_factory=dict)


def parse(text: str, file: str = "Dockerfile") -> Dockerfile:
    """Raises DockerfileError."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    directives, first = _read_directives(lines, file)
    escape = directives.get("escape", "\\")
    if escape not in ("\\", "`"):
        raise DockerfileError(Place(1), f"invalid escape token {escape!r}: it can be a backslash or a backquote", file)
    found = tuple(_instructions(lines, first, escape, file))
    if not found:
        raise DockerfileError(Place(1), "the file has no instructions", file)
    return Dockerfile(found, escape, directives)


def _read_directives(lines: list[str], file: str) -> tuple[dict[str, str], int]:
    found: dict[str, str] = {}
    for number, line in enumerate(lines):
        match = _DIRECTIVE.fullmatch(line.strip())
        if match is None or match[1].lower() not in _DIRECTIVES:
            return found, number
        if match[1].lower() in found:
            raise DockerfileError(Place(number + 1), f"only one {match[1].lower()} directive can be used", file)
        found[match[1].lower()] = match[2]
    return found, len(lines)


def _instructions(lines: list[str], number: int, escape: str, file: str) -> Iterator[Instruction]:
    count = 0
    while number < len(lines):
        stripped = lines[number].strip()
        if not stripped or stripped.startswith("#"):
            number += 1
            continue
        first = number
        text, number = _logical_line(lines, number, escape)
        column = len(lines[first]) - len(lines[first].lstrip()) + 1
        instruction, number = _read(text, Place(first + 1, column), lines, number, file)
        count += 1
        yield replace(instruction, number=count)


def _logical_line(lines: list[str], number: int, escape: str) -> tuple[str, int]:
    """Lines joined where one ends with the escape character; the number of the line after them."""
    parts: list[str] = []
    while number < len(lines):
        line = lines[number]
        number += 1
        if parts and (not line.strip() or line.lstrip().startswith("#")):
            continue  # comments and empty lines inside an instruction do not count
        body = line.rstrip(" \t")
        if not body.endswith(escape):
            parts.append(line)
            break
        parts.append(body[:-1])
    return "".join(parts), number


def _read(text: str, place: Place, lines: list[str], number: int, file: str) -> tuple[Instruction, int]:
    name, _, rest = text.strip().partition(" ")
    if "\t" in name:
        name, _, rest = text.strip().partition("\t")
    upper = name.upper()
    if upper not in INSTRUCTIONS:
        close = difflib.get_close_matches(upper, INSTRUCTIONS, 1)
        raise DockerfileError(place, f"unknown instruction: {name}" + (f" (did you mean {close[0]}?)" if close else ""),
                              file)
    rest = rest.strip()
    flags, rest = _take_flags(rest)
    heredocs: list[Heredoc] = []
    carrier = rest if upper in _HEREDOCS or (upper == "ONBUILD" and rest.split(" ")[0].upper() in _HEREDOCS) else ""
    for match in _HEREDOC.finditer(carrier):
        content, number = _heredoc(lines, number, match, place, file)
        heredocs.append(content)
    if not rest and upper not in ("CMD", "ENTRYPOINT"):
        how = "exactly" if upper in ("MAINTAINER", "STOPSIGNAL", "USER", "WORKDIR") else "at least"
        raise DockerfileError(place, f"{upper} requires {how} one argument", file)
    words = _json_words(rest) if upper in _JSON else None
    source = "\n".join(lines[place.line - 1:number])
    made = Instruction(upper, place, rest, flags, words or (), words is not None, tuple(heredocs), source, number,
                       text.strip())
    return made, number


def _take_flags(rest: str) -> tuple[tuple[tuple[str, str], ...], str]:
    flags = []
    while match := _FLAG.match(rest):
        value = match[2] or ""
        flags.append((match[1], value[1:-1] if value[:1] == '"' and value[-1:] == '"' and len(value) > 1 else value))
        rest = rest[match.end():].lstrip()
    return tuple(flags), rest


def _heredoc(lines: list[str], number: int, match: re.Match[str], place: Place, file: str) -> tuple[Heredoc, int]:
    content: list[str] = []
    while number < len(lines):
        line = lines[number].lstrip("\t") if match["chomp"] else lines[number]
        number += 1
        if line == match["name"]:
            return Heredoc(match["name"], "".join(f"{each}\n" for each in content), not match["quote"]), number
        content.append(line)
    raise DockerfileError(place, f"unterminated heredoc: no line says {match['name']}", file)


def _json_words(text: str) -> tuple[str, ...] | None:
    """The list, if it is one of strings; else the text is meant as it stands (as Docker takes it)."""
    if not text.startswith("["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return tuple(found) if isinstance(found, list) and all(isinstance(word, str) for word in found) else None
