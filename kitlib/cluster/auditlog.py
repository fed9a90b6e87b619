"""audit.log: one audit.k8s.io/v1 Event a line, in a file that cannot fill the disk.

Rotation is kube-apiserver's with --audit-log-maxsize=10 --audit-log-maxbackup=1: at 10 MB the file becomes
audit.log.1, and what had that name before is gone.  Only the cluster's owner may read it.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import orjson

log = logging.getLogger("kit")

MAX_BYTES = 10_000_000


class AuditLog:
    """The file, open for appending."""

    def __init__(self, path: Path, limit: int = MAX_BYTES) -> None:
        self._path, self._limit = path, limit
        self._broken = False
        self._open()

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._file).st_size

    def write(self, event: dict[str, Any]) -> None:
        """Append one Event.  A full disk costs lines of the log, never an answer of the API."""
        line = orjson.dumps(event) + b"\n"
        try:
            if self._size and self._size + len(line) > self._limit:
                self._rotate()
            self._size += os.write(self._file, line)
        except OSError as error:
            if not self._broken:
                log.error("%s cannot be written: %s", self._path, error)
            self._broken = True
        else:
            self._broken = False

    def _rotate(self) -> None:
        os.replace(self._path, self._path.with_name(self._path.name + ".1"))
        os.close(self._file)
        self._open()

    def close(self) -> None:
        os.close(self._file)
