"""Container logs in the CRI's format, with the kubelet's rotation.

    2026-11-22T22:34:05.669794202Z stdout F a whole line
    2026-11-22T22:34:05.669794202Z stderr P the first 16 KiB of a longer one

Files are `0.log` (the container's attempt), and after rotation `0.log.20261122-223405`; five in all, ten MiB each.

Source: kubernetes/design-proposals "CRI: log management"; kubelet's containerLogMaxSize and containerLogMaxFiles;
containerd's internal/cri/io/logger.go.
"""

from __future__ import annotations

import os
import time

MAX_LINE = 16 * 1024
MAX_SIZE = 10 * 1024 * 1024
MAX_FILES = 5
_NAMES = {1: b"stdout", 2: b"stderr"}


def timestamp() -> bytes:
    now = time.time_ns()
    seconds, nanoseconds = divmod(now, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode() + b".%09dZ" % nanoseconds


class LogWriter:
    """One container's log file, fed with raw output; an empty path swallows everything."""

    def __init__(self, path: str, max_size: int = MAX_SIZE, max_files: int = MAX_FILES) -> None:
        self._path, self._max_size, self._max_files = path, max_size, max_files
        self._pending = {1: b"", 2: b""}
        self._fd = -1
        self._size = 0
        self._last_name, self._same_second = "", 0
        if path:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._open()

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._fd).st_size

    def write(self, stream: int, data: bytes) -> None:
        """Log what arrived; a line is written when its end has come, or 16 KiB of it."""
        if self._fd < 0:
            return
        prefix = timestamp() + b" " + _NAMES[stream] + b" "
        lines = (self._pending[stream] + data).split(b"\n")
        rest = lines.pop()
        out = []
        for line in lines:
            out += [prefix + b"P " + line[i : i + MAX_LINE] for i in range(0, len(line) - MAX_LINE, MAX_LINE)]
            start = max(0, (len(line) - 1) // MAX_LINE * MAX_LINE) if line else 0
            out.append(prefix + b"F " + line[start:])
        while len(rest) >= MAX_LINE:
            out.append(prefix + b"P " + rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        self._pending[stream] = rest
        if out:
            self._append(b"\n".join(out) + b"\n")

    def _append(self, data: bytes) -> None:
        try:
            if self._size and self._size + len(data) > self._max_size:
                self._rotate()
            os.write(self._fd, data)
        except OSError:  # a full disk must stop the log, not the daemon with every Pod in it
            return
        self._size += len(data)

    def _rotate(self) -> None:
        os.close(self._fd)
        os.rename(self._path, self._rotated_name())
        directory, name = os.path.split(self._path)
        old = sorted(entry for entry in os.listdir(directory) if entry.startswith(name + "."))
        for entry in old[: max(0, len(old) - (self._max_files - 1))]:
            os.unlink(os.path.join(directory, entry))
        self._open()

    def _rotated_name(self) -> str:
        """The kubelet's name; a second rotation within the second gets a suffix that still sorts."""
        name = self._path + time.strftime(".%Y%m%d-%H%M%S", time.gmtime())
        self._same_second = self._same_second + 1 if name == self._last_name else 0
        self._last_name = name
        return f"{name}.{self._same_second:03d}" if self._same_second else name

    def close(self) -> None:
        """The end of the output: what has no newline yet is a line too."""
        for stream, rest in self._pending.items():
            if rest:
                self.write(stream, b"\n")
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
