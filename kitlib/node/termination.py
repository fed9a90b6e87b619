"""A container's last words: what it wrote to its terminationMessagePath, or the end of its log.

    File                    the file, at most 4096 bytes
    FallbackToLogsOnError   the file; if that is empty and the container failed, the log's last 80 lines or 2048 bytes

Source: pkg/kubelet/kuberuntime/kuberuntime_container.go (getTerminationMessage).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .logs import parse_line

MOST_FILE, MOST_LOG, LOG_LINES = 4096, 2048, 80


def message_file(pod_directory: Path, container: str, attempt: int) -> Path:
    return pod_directory / "containers" / container / f"{attempt}.termination"


def termination_message(container: Mapping[str, Any], file: Path, log: Path, exit_code: int) -> str:
    text = _tail(file, MOST_FILE)
    if text or exit_code == 0 or container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
        return text
    return last_log_lines(log)


def last_log_lines(log: Path) -> str:
    lines = [parsed.content for raw in _tail(log, 16 * MOST_LOG).split("\n")
             if (parsed := parse_line(raw.encode())) is not None]
    return b"".join(lines[-LOG_LINES:])[-MOST_LOG:].decode("utf-8", "replace")


def _tail(path: Path, most: int) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - most))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
