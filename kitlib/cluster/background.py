"""Background processes: start one and hear when it is ready; stop it, whatever it does.

    spawn ──▶ python -m MODULE DIRECTORY READY_FD (double fork, own session, own stdio)
          ◀─pipe─  {"ready": …} or {"error": "one sentence"}

The pipe is the whole handshake: nothing is polled, and a process that dies while starting closes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kitlib.cluster.errors import CannotStart, KitError
from kitlib.cluster.home import ProcessDir

START_SECONDS = 60.0  # a cold, slow machine; a warm one needs less than one
STOP_SECONDS = 15.0  # Pods get SIGTERM and their grace; then the process goes anyway
MAX_LOG = 8_000_000


def spawn(directory: ProcessDir, module: str, what: str) -> None:
    """what: how sentences about it begin.  Raises CannotStart."""
    if directory.log.exists() and directory.log.stat().st_size > MAX_LOG:
        directory.log.replace(directory.log.with_name("log.1"))
    read, write = os.pipe()
    command = [sys.executable, "-m", module, str(directory.path), str(write)]
    with open(os.open(directory.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        # The child forks once more and ends at once: nobody is left with a zombie to wait for.
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(write,),
                                 cwd=directory.path, start_new_session=True, env=_environment())
    os.close(write)
    try:
        answer = _read_answer(read, START_SECONDS)
    finally:
        os.close(read)
        child.wait()
    if "error" in answer:
        ended(directory, STOP_SECONDS)
        raise CannotStart(answer["error"])
    if "ready" not in answer:
        _kill(directory, what)
        raise CannotStart(f"{what} did not start: {_last_words(directory)}")


def wait_ready(directory: ProcessDir, what: str) -> None:
    """Somebody else's start is under way, though whoever began it is gone: rare enough to look every 20 ms."""
    deadline = time.monotonic() + START_SECONDS
    while not directory.read_state():
        if time.monotonic() > deadline or not directory.is_running():
            raise CannotStart(f"{what} did not get ready; {directory.log} says why.")
        time.sleep(0.02)


def terminate(directory: ProcessDir, what: str) -> None:
    """In order, and if that takes too long, at once."""
    _signal(directory, signal.SIGTERM)
    if not ended(directory, STOP_SECONDS):
        _kill(directory, what)


def ended(directory: ProcessDir, seconds: float) -> bool:
    """Wait until nobody holds the lock any more."""
    deadline = time.monotonic() + seconds
    while directory.is_running():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def _kill(directory: ProcessDir, what: str) -> None:
    _signal(directory, signal.SIGKILL)
    if not ended(directory, STOP_SECONDS):
        raise KitError(f"The process of {what} does not end; {directory.log} may say why.")


def _signal(directory: ProcessDir, number: signal.Signals) -> None:
    """To the lock's holder, by its own word; without its word it is just beginning or ending by itself."""
    try:
        pid = int(directory.pid.read_text())
    except (FileNotFoundError, ValueError):
        return
    if directory.is_running():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _environment() -> dict[str, str]:
    """Ours; but where Python must not write bytecode beside the sources, it goes to the venv: half a second."""
    env = dict(os.environ)
    if sys.dont_write_bytecode and not sys.pycache_prefix:
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        env["PYTHONPYCACHEPREFIX"] = str(Path(sys.prefix) / "cache" / "bytecode")
    return env


def _last_words(directory: ProcessDir) -> str:
    lines = [line for line in directory.log.read_text(errors="replace").splitlines() if line.strip()]
    return f"{lines[-1].strip()} (more in {directory.log})" if lines else f"see {directory.log}"


def _read_answer(descriptor: int, seconds: float) -> dict[str, Any]:
    """One JSON line from the pipe; {} when it closes without one or nothing comes in time."""
    deadline, data = time.monotonic() + seconds, b""
    while not data.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(descriptor, 65536) if ready else b""
        if not chunk:
            return {}
        data += chunk
    answer: dict[str, Any] = json.loads(data)
    return answer
