"""A container's log in the format of Docker's default driver, `json-file`.

    {"log":"a line\\n","stream":"stdout","time":"2026-11-22T22:34:05.669794202Z"}

What has no newline is written when 16 KiB of it have come, or the container ends.  Rotation, if there is any:
`ID-json.log.1` is the newest of the old ones.

Source: moby's daemon/logger/jsonfilelog and loggerutils/logfile.go, daemon/logger/copier.go.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any

from kitlib.runtime.process.logs import MAX_LINE, LogWriter, timestamp

_NAMES = {1: "stdout", 2: "stderr"}


def writer(spec: Mapping[str, Any]) -> LogWriter | JsonFile:
    """What a container's spec asks for: `json_file` with max_size and max_file, else the CRI's format."""
    wanted = spec.get("json_file")
    if wanted is None:
        return LogWriter(spec["log_path"])
    return JsonFile(spec["log_path"], wanted["max_size"], wanted["max_file"])


class JsonFile:
    """Like LogWriter.  max_size: bytes, or 0: it grows for ever; max_file: how many files there are in all."""

    def __init__(self, path: str, max_size: int = 0, max_file: int = 1) -> None:
        self._path, self._max_size, self._max_file = path, max_size, max_file
        self._pending = {1: b"", 2: b""}
        self._fd = -1
        if path:
            self._open()

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._fd).st_size

    def write(self, stream: int, data: bytes) -> None:
        if self._fd < 0:
            return
        text = self._pending[stream] + data
        lines = text.split(b"\n")
        rest = lines.pop()
        pieces = []
        for line in (each + b"\n" for each in lines):
            pieces += [line[i : i + MAX_LINE] for i in range(0, len(line), MAX_LINE)]
        while len(rest) >= MAX_LINE:
            pieces.append(rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        self._pending[stream] = rest
        if pieces:
            self._append(stream, pieces)

    def _append(self, stream: int, pieces: list[bytes]) -> None:
        middle = f',"stream":"{_NAMES[stream]}","time":"'
        data = "".join('{"log":' + json.dumps(p.decode(errors="replace"), ensure_ascii=False) + middle
                       + timestamp().decode() + '"}\n' for p in pieces).encode()
        try:
            if self._max_size and self._size + len(data) > self._max_size:
                self._rotate()
            os.write(self._fd, data)
        except OSError:  # a full disk must stop the log, not the daemon
            return
        self._size += len(data)

    def _rotate(self) -> None:
        os.close(self._fd)
        for number in range(self._max_file - 1, 0, -1):
            before = f"{self._path}.{number - 1}" if number > 1 else self._path
            with contextlib.suppress(FileNotFoundError):
                os.replace(before, f"{self._path}.{number}")
        if self._max_file < 2:
            os.truncate(self._path, 0)
        self._open()

    def close(self) -> None:
        for stream, rest in self._pending.items():
            if rest and self._fd >= 0:
                self._append(stream, [rest])
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
