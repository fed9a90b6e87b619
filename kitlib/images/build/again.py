"""Nothing has changed since the last time: the same `kit build` in the same place is answered without building.

    at the end of a build    what was asked, what the context looked like at its beginning, what came of it  ──▶ a file
    the next time            asked the same?  the context looks the same?  bases, image and names are still there?
                                └─yes──▶ the same answer        └─anything else──▶ a build, which knows its steps

What a file looks like is its size, times and number, as make and git look; one that was changed while the build began
counts as changed.  Imports next to nothing: most of the time would go there.
"""

from __future__ import annotations

import json
import os
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

_MARGIN = 50_000_000  # ns: a file's time is as coarse as the kernel's clock
_VARIABLES = ("SOURCE_DATE_EPOCH", "KIT_BUILD", "KIT_HOME")
_REF_NAME = "org.opencontainers.image.ref.name"
Look = dict[str, "dict[str, Any]"]  # directory → name → what it looks like, or None if it does not count


def home() -> str:
    return os.environ.get("KIT_HOME") or os.path.expanduser("~/.kit")


def place(arguments: Iterable[str]) -> str:
    """Where the record of a command is."""
    asked = repr((os.getcwd(), list(arguments))).encode()
    return f"{home()}/images/build/again/{zlib.crc32(asked):08x}{zlib.adler32(asked):08x}.json"


def look(root: str, hides: Callable[[str], bool], below: str = "") -> Look:
    """A context as it is.  hides: whether a path in it does not count."""
    found: Look = {below: {}}
    try:
        entries = sorted(os.scandir(f"{root}/{below}" if below else root), key=lambda e: e.name)
    except OSError:
        return found
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        if hides(path):
            found[below][entry.name] = None
            continue
        found[below][entry.name] = _mark(entry.path)
        if entry.is_dir(follow_symlinks=False):
            found |= look(root, hides, path)
    return found


def _mark(path: str) -> list[int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if found.st_mode & 0o170000 == 0o040000:
        return [found.st_mode]
    return [found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _looks_the_same(root: str, before: Look) -> bool:
    for below, names in before.items():
        directory = f"{root}/{below}" if below else root
        if set(os.listdir(directory)) != set(names):
            return False
        if any(mark is not None and _mark(f"{directory}/{name}") != mark for name, mark in names.items()):
            return False
    return True


def _variables(names: Iterable[str]) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in names}


def _names() -> dict[str, str]:
    """The store's images: name → digest."""
    with open(f"{home()}/images/oci/index.json", "rb") as file:
        entries = json.load(file)["manifests"]
    return {e["annotations"][_REF_NAME]: e["digest"] for e in entries if _REF_NAME in (e.get("annotations") or {})}


def keep(arguments: list[str], context: str, seen: Look, began: int, *, files: Iterable[str], named: Mapping[str, str],
         blobs: Iterable[str], variables: Iterable[str], answer: Mapping[str, Any]) -> None:
    """Remember a build that came to its end.

    seen: its context at the beginning (`began`, ns); files: others that it read; named: images that must still be
    what they were, by full name; blobs: digests that must be there; answer: what `unchanged` gives.
    """
    marks = {path: _mark(path) for path in files}
    every = [*(mark for names in seen.values() for mark in names.values()), *marks.values()]
    if any(mark and len(mark) > 1 and max(mark[2:4]) > began - _MARGIN for mark in every):
        return
    document = {"arguments": arguments, "directory": os.getcwd(), "context": os.path.realpath(context), "seen": seen,
                "files": marks, "named": dict(named), "blobs": sorted(blobs),
                "variables": _variables((*_VARIABLES, *variables)), "answer": dict(answer)}
    path = place(arguments)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w") as file:
        json.dump(document, file)
    os.replace(temporary, path)


def unchanged(arguments: list[str]) -> dict[str, Any] | None:
    """The answer that this command gave, if it would give it again."""
    try:
        with open(place(arguments), "rb") as file:
            found = json.load(file)
        if found["arguments"] != arguments or found["directory"] != os.getcwd() or found["variables"] != \
                _variables(found["variables"]):
            return None
        if any(_mark(path) != mark for path, mark in found["files"].items()):
            return None
        names = _names()
        if any(names.get(name) != digest for name, digest in found["named"].items()):
            return None
        blobs = f"{home()}/images/oci/blobs/sha256"
        if not all(os.path.exists(f"{blobs}/{digest[7:]}") for digest in found["blobs"]):
            return None
        return found["answer"] if _looks_the_same(found["context"], found["seen"]) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
