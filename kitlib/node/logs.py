"""Container logs: files in the CRI format, read the way `kubectl logs` asks.

    2026-11-22T10:00:00.123456789Z stdout F a whole line
    2026-11-22T10:00:00.223456789Z stdout P the beginning of a very long li
    2026-11-22T10:00:00.223456799Z stdout F ne

F is a full line, P a part that goes on.  One file per run of a container: LOGDIR/CONTAINER/ATTEMPT.log; the file of the
run before stays for `--previous`.

Source: k8s.io/cri-client/pkg/logs, staging/src/k8s.io/kubelet (container log format).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..objects.clock import parse_time

BLOCK = 64 * 1024
POLL = 0.1


@dataclass(frozen=True, slots=True)
class LogOptions:
    """PodLogOptions with the times made absolute.  tail -1 and limit 0 mean all; stream "" means both."""

    tail: int = -1
    since: float = 0.0
    follow: bool = False
    timestamps: bool = False
    limit: int = 0
    stream: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    time: bytes
    stream: bytes
    full: bool
    content: bytes   # with the newline if the line is full


def parse_line(raw: bytes) -> Line | None:
    """One line of a log file; None if it is damaged (a machine that lost power)."""
    parts = raw.rstrip(b"\n").split(b" ", 3)
    if len(parts) < 3 or parts[2][:1] not in (b"F", b"P"):
        return None
    full = parts[2][:1] == b"F"
    content = parts[3] if len(parts) == 4 else b""
    return Line(parts[0], parts[1], full, content + b"\n" if full else content)


def seconds(time: bytes) -> float:
    """RFC 3339 with nanoseconds; Python reads six digits."""
    text = time.decode().rstrip("Z")
    whole, _, fraction = text.partition(".")
    return parse_time(f"{whole}.{(fraction + '000000')[:6]}+00:00")


def tail_position(file: BinaryIO, lines: int) -> int:
    """Where the last `lines` lines begin, reading backwards from the end."""
    size = file.seek(0, 2)
    if lines < 0:
        return 0
    if lines == 0:
        return size
    position, seen, buffer = size, 0, b""
    while position > 0:
        step = min(BLOCK, position)
        position -= step
        file.seek(position)
        buffer = file.read(step)
        at = len(buffer)
        while (at := buffer.rfind(b"\n", 0, at)) >= 0:
            if position + at + 1 == size:
                continue
            seen += 1
            if seen == lines:
                return position + at + 1
    return 0


def render(lines: Iterator[bytes], options: LogOptions) -> Iterator[bytes]:
    """What of these raw lines the reader gets to see, as bytes."""
    for raw in lines:
        line = parse_line(raw)
        if line is None or (options.stream and line.stream.decode() != options.stream.lower()):
            continue
        if options.since and seconds(line.time) < options.since:
            continue
        yield line.time + b" " + line.content if options.timestamps else line.content


async def read_log(path: Path, options: LogOptions, running: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The log in pieces.  With follow: until `running` says that the container has ended and all of it is read."""
    sent = 0
    try:
        file = path.open("rb")
    except FileNotFoundError:
        file = None
    while file is None and options.follow and running():
        await asyncio.sleep(POLL)
        file = path.open("rb") if path.exists() else None
    if file is None:
        return
    file.seek(tail_position(file, options.tail))
    pending = b""
    try:
        while True:
            alive = options.follow and running()
            block = file.read(BLOCK)
            if not block:
                if _rotated(file, path):
                    file.close()
                    file = path.open("rb")
                    continue
                if not alive:
                    return
                await asyncio.sleep(POLL)
                continue
            *lines, pending = (pending + block).split(b"\n")   # not splitlines: a line may contain \r
            out = b"".join(render(iter(lines), options))
            if options.limit:
                out = out[:options.limit - sent]
            sent += len(out)
            if out:
                yield out
            if options.limit and sent >= options.limit:
                return
    finally:
        file.close()


def _rotated(file: BinaryIO, path: Path) -> bool:
    """Has the file we read to its end been renamed, and another taken its place?"""
    try:
        return path.stat().st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False
