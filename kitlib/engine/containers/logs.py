"""docker logs: what a container has said, out of its json-file.

Following ends with the run.  An old file (ID-json.log.1 …) comes before the newer ones.

Source: moby 20.10, daemon/logs.go, daemon/logger/jsonfilelog/read.go, loggerutils/follow.go.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from kitlib.engine.containers.attaching import frame
from kitlib.engine.containers.record import Container, nanoseconds

_STREAMS = {"stdout": 1, "stderr": 2}


@dataclass(frozen=True)
class Wanted:
    """since and until in nanoseconds since 1970, 0: no matter; tail: -1 is all."""

    stdout: bool = True
    stderr: bool = True
    since: int = 0
    until: int = 0
    timestamps: bool = False
    follow: bool = False
    tail: int = -1
    details: bool = False


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        return dict(json.loads(line))
    except ValueError:  # half written when the disk was full
        return None


class _Reader:
    """Whole lines of a file that grows, and is replaced by rotation."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def lines(self) -> Iterator[bytes]:
        if self._file is None:
            try:
                self._file = open(self._path, "rb")  # noqa: SIM115
            except FileNotFoundError:
                return
        while True:
            text = self._rest + self._file.read(1 << 20)
            if not text or text == self._rest:
                if not self._rotated():
                    return
                continue
            *whole, self._rest = text.split(b"\n")
            yield from whole

    def _rotated(self) -> bool:
        assert self._file is not None
        try:
            now = os.stat(self._path)
        except FileNotFoundError:
            return False
        if now.st_ino == os.fstat(self._file.fileno()).st_ino and now.st_size >= self._file.tell():
            return False
        self._file.close()
        self._file = open(self._path, "rb")  # noqa: SIM115
        return True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _older(path: Path) -> Iterator[bytes]:
    old = sorted(path.parent.glob(f"{path.name}.*"), key=lambda one: -int(one.suffix[1:] or 0))
    for one in old:
        with open(one, "rb") as file:
            yield from file.read().splitlines()


async def read(container: Container, wanted: Wanted) -> AsyncIterator[bytes]:
    """Frames, or what a terminal has shown as it was."""
    reader = _Reader(container.log_path)
    try:
        run = container.run
        news = container.news
        known = await asyncio.to_thread(lambda: [*_older(container.log_path), *reader.lines()])
        entries = (entry for line in known if (entry := _parsed(line)) is not None and _wants(wanted, entry))
        chosen: Any = deque(entries, maxlen=wanted.tail) if wanted.tail >= 0 else entries
        for entry in chosen:
            yield _shown(container, wanted, entry)
        while wanted.follow:
            ended = not container.running or container.run is not run or container.removing
            for line in reader.lines():
                entry = _parsed(line)
                if entry is not None and wanted.until and nanoseconds(entry["time"]) > wanted.until:
                    return
                if entry is not None and _wants(wanted, entry):
                    yield _shown(container, wanted, entry)
            if ended:
                return
            await news.wait()
            news = container.news
    finally:
        reader.close()


def _wants(wanted: Wanted, entry: dict[str, Any]) -> bool:
    if not (wanted.stdout if entry["stream"] == "stdout" else wanted.stderr):
        return False
    if wanted.since or wanted.until:
        when = nanoseconds(entry["time"])
        return (not wanted.since or when >= wanted.since) and (not wanted.until or when <= wanted.until)
    return True


def _shown(container: Container, wanted: Wanted, entry: dict[str, Any]) -> bytes:
    text = f"{entry['time']} {entry['log']}" if wanted.timestamps else entry["log"]
    data = text.encode()
    return data if container.tty else frame(_STREAMS[entry["stream"]], data)
