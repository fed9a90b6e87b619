"""The build context and its .dockerignore: which files of a directory a build may see.

    *.log  !keep.log  **/node_modules  docs/     the last pattern that matches decides

Source: docs.docker.com/build/concepts/context (dockerignore); moby/patternmatcher.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kitlib.runtime import inroot

_NOTHING = re.compile(r"[^\s\S]")


def pattern(text: str) -> Any:
    """Go's filepath.Match with ** for any number of directories; what is no pattern matches nothing.

    With many stars it is RE2's business, as in Go: linear in the length of a path, whatever the pattern.
    """
    out, at = "", 0
    while at < len(text):
        c = text[at]
        if text.startswith("**", at):
            at += 2
            if text.startswith("/", at):
                at += 1
                out += "(?:.*/)?"
            else:
                out += ".*"
            continue
        if c == "*":
            out += "[^/]*"
        elif c == "?":
            out += "[^/]"
        elif c == "[":
            end = text.find("]", at + 2)
            if end < 0:
                out += re.escape(c)
            else:
                inside = text[at + 1:end]
                inside = "^" + inside[1:] if inside[:1] in "!^" else inside
                out += "[" + inside.replace("\\", "\\\\").replace("[", "\\[") + "]"
                at = end
        elif c == "\\" and at + 1 < len(text):
            at += 1
            out += re.escape(text[at])
        else:
            out += re.escape(c)
        at += 1
    if len(re.findall(r"\*+", text)) > 2:
        return _linear(out)
    try:
        return re.compile(f"(?s){out}")
    except re.error:
        return _NOTHING


def _linear(expression: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(f"(?s){expression}", options)
    except re2.error:
        return _NOTHING


class Ignore:
    """The rules of one .dockerignore."""

    def __init__(self, text: str = "") -> None:
        self._rules: list[tuple[bool, Any]] = []
        for line in text.splitlines():
            rule = line.strip()
            if not rule or rule.startswith("#"):
                continue
            kept = rule.startswith("!")
            rule = os.path.normpath(rule.removeprefix("!").strip()).lstrip("/")
            if rule != ".":
                self._rules.append((kept, pattern(rule)))

    def hides(self, path: str) -> bool:
        """Whether a path of the context (no leading slash) is left out; a directory hides what is below it."""
        parts = path.split("/")
        parents = ["/".join(parts[:i]) for i in range(1, len(parts) + 1)]
        hidden = False
        for kept, rule in self._rules:
            if any(rule.fullmatch(parent) for parent in parents):
                hidden = not kept
        return hidden

    @property
    def has_exceptions(self) -> bool:
        return any(kept for kept, _ in self._rules)


class Context:
    """A directory that a build may read.  Links in it are never followed out of it."""

    def __init__(self, root: Path, dockerfile: str = "Dockerfile") -> None:
        self.root = root
        for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
            if (root / name).is_file():
                self.ignore = Ignore((root / name).read_text())
                break
        else:
            self.ignore = Ignore()

    def walk(self, below: str = "") -> Iterator[str]:
        """Every path that may be seen below one, in a fixed order; directories before what is in them."""
        start = self.root / below if below else self.root
        entries = sorted(os.scandir(start), key=lambda e: e.name)
        for entry in entries:
            path = f"{below}/{entry.name}" if below else entry.name
            directory = entry.is_dir(follow_symlinks=False)
            hidden = self.ignore.hides(path)
            if not hidden:
                yield path
            if directory and (not hidden or self.ignore.has_exceptions):
                yield from self.walk(path)

    def match(self, wanted: str) -> list[str]:
        """The paths that a source of COPY means: itself, or all that its wildcards match."""
        wanted = os.path.normpath(wanted.lstrip("/")) if wanted.strip("/") not in ("", ".") else ""
        if not wanted:
            return [""]
        if wanted.split("/")[0] == "..":
            return []
        if not re.search(r"[*?\[]", wanted):
            exists = os.path.lexists(self.root / wanted)
            visible = not self.ignore.hides(wanted) or (exists and any(self.walk(wanted))
                                                        if (self.root / wanted).is_dir() else False)
            return [wanted] if exists and visible and self._inside(wanted) else []
        rule = pattern(wanted)
        return [path for path in self.walk() if rule.fullmatch(path)]

    def follow(self, path: str) -> str | None:
        """Where a path leads when it is a link itself, inside the context; None if to nothing that may be seen."""
        try:
            found = inroot.follow(path, lambda step: inroot.readlink(str(self.root / step)))
        except OSError:
            return None
        there = os.path.lexists(self.root / found)
        return found if there and (found == path or not found or not self.ignore.hides(found)) else None

    def _inside(self, path: str) -> bool:
        """A path that goes through a link to somewhere else is none of the context's."""
        parent = os.path.realpath((self.root / path).parent)
        root = os.path.realpath(self.root)
        return parent == root or parent.startswith(root + os.sep)
