"""The build cache: what a step would give is known, if everything it stands on is the same as once before.

    key of a step = digest of (the instruction, the keys of the steps it reads, the files it copies)
                    └────── the parts are kept, so that a miss can say which of them is another now

    $KIT_HOME/images/build/KEY.json     the layer that came of it, when, how long it took
    $KIT_HOME/images/build/last/…       the parts of all steps of the last build of this Dockerfile

Source: moby/buildkit, solver (cache keys by definition and by content).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kitlib.images.descriptor import Descriptor

Parts = Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """What a step gave.  layer: None if it changed no file; created, seconds: when, and how long it took; files: a
    digest of what a COPY took."""

    layer: Descriptor | None
    diff_id: str
    created: float
    seconds: float
    files: str = ""


def key_of(parts: Parts) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class BuildCache:
    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, key: str) -> Result | None:
        try:
            found = json.loads((self._root / f"{key}.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        layer = found["layer"]
        return Result(Descriptor(**layer) if layer else None, found["diff_id"], found["created"], found["seconds"],
                      found.get("files", ""))

    def keep(self, key: str, result: Result) -> None:
        layer = result.layer
        brief = {"media_type": layer.media_type, "digest": layer.digest, "size": layer.size} if layer else None
        _write(self._root / f"{key}.json", {"layer": brief, "diff_id": result.diff_id, "created": result.created,
                                            "seconds": result.seconds, "files": result.files})

    def last(self, place: str) -> LastBuild:
        """What the last build at a place (a context and a Dockerfile) was made of."""
        return LastBuild(self._root / "last" / f"{hashlib.sha256(place.encode()).hexdigest()}.json")

    def clear(self) -> int:
        """Forget everything; how many results that were."""
        found = [*self._root.glob("*.json"), *self._root.glob("last/*.json")]
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)


class LastBuild:
    """The parts of each step's key, as they were; `save` makes those of now the next one's."""

    def __init__(self, path: Path) -> None:
        self._path, self._before, self._now = path, {}, {}  # type: tuple[Path, dict[str, Any], dict[str, Any]]
        with contextlib.suppress(FileNotFoundError, ValueError):
            self._before = json.loads(path.read_text())

    def why(self, step: str, parts: Parts) -> str:
        """Why a step is not what it was, in a few words."""
        now = self._now[step] = json.loads(json.dumps(parts, default=str))
        return compare(self._before.get(step), now)

    def save(self) -> None:
        """Steps that were not come to are as they were."""
        together = {**self._before, **self._now}
        if together != self._before:
            _write(self._path, together)


def _write(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    temporary.write_text(json.dumps(document))
    os.replace(temporary, path)


def compare(before: Parts | None, now: Parts) -> str:
    """The first part that differs, in words."""
    if before is None:
        return "never built before"
    if before.get("operation") != now.get("operation"):
        return _operation(before["operation"], now["operation"])
    if before.get("files") != now.get("files"):
        return _files(before.get("files") or {}, now.get("files") or {})
    if before.get("base") != now.get("base"):
        return "a step that it stands on is another"
    return "its result is no longer in the store"


def _operation(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if before.get("kind") != now.get("kind"):
        return "it is another instruction"
    for name in now:
        if before.get(name) == now[name]:
            continue
        if name == "env":
            changed = sorted(k for k in {*before["env"], *now["env"]} if before["env"].get(k) != now["env"].get(k))
            return f"{', '.join(changed)} has another value"
        return {"argv": "the command is another", "image": "the base image is another"}.get(
            name, f"its {name} is another")
    return "it is written differently"


def _files(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    changed = [path for path in now if before.get(path) != now[path]]
    gone = [path for path in before if path not in now]
    if changed:
        new = changed[0] not in before
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        what = ("are new" if new else "have changed") if more else ("is new" if new else "has changed")
        return f"{changed[0] or '.'}{more} {what}"
    return f"{gone[0]} is gone" if gone else "its files are others"
