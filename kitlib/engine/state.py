"""What the engine must not forget: one JSON file for each object, replaced in one step.

    $KIT_HOME/engine/state/containers/4c01db0b….json

A file is whole or as before, whenever the process is killed.  What cannot be read (a disk that was full) is reported
in the log and left out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


class State:
    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, kind: str, identity: str, document: Any) -> None:
        place = self._place(kind, identity)
        temporary = place.with_name(f".{place.name}")
        data = json.dumps(document)
        try:
            temporary.write_text(data)
        except FileNotFoundError:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_text(data)
        os.replace(temporary, place)

    def get(self, kind: str, identity: str) -> Any:
        """None if there is none."""
        try:
            return json.loads(self._place(kind, identity).read_text())
        except FileNotFoundError:
            return None

    def drop(self, kind: str, identity: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._place(kind, identity).unlink()

    def all(self, kind: str) -> dict[str, Any]:
        """identity → document."""
        found: dict[str, Any] = {}
        for path in sorted((self.root / kind).glob("[!.]*.json")):
            try:
                found[path.stem] = json.loads(path.read_text())
            except (OSError, ValueError) as error:
                log.error("%s cannot be read and is left out: %s", path, error)
        return found

    def _place(self, kind: str, identity: str) -> Path:
        if "/" in identity or identity.startswith("."):
            raise ValueError(f"{identity!r} cannot be the name of a file")
        return self.root / kind / f"{identity}.json"
