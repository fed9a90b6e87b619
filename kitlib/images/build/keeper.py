"""The parent of a RUN that proot carries out: it notes chown, and sees to it that nothing outlives the step.

    python -S -m kitlib.images.build.keeper SPEC.json
       └─ proot ─▶ the program      whatever it leaves behind becomes our child, and is ended
       ▲
       └─ ended (SIGTERM) by the build, or by the kernel when the build was killed: then all of it ends

Where there are namespaces the kernel does this (sandbox.py).

Source: man prctl(2) (PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from kitlib.images.build import chowning
from kitlib.runtime.process import syscalls

_PDEATHSIG, _SUBREAPER = 1, 36


def main(arguments: list[str]) -> int:
    with open(arguments[0]) as file:
        spec: dict[str, Any] = json.load(file)
    signal.signal(signal.SIGTERM, _ended)
    syscalls.prctl(_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != spec["parent"]:
        return 143
    syscalls.prctl(_SUBREAPER, 1)
    ours, its = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        _become(spec, its)
    its.close()
    listener = chowning.receive(ours) if spec["record"] else -1
    code = chowning.attend(pid, listener, lambda _: spec["root"], spec["root"], Path(spec["place"]))
    end_descendants()
    return code


def _become(spec: dict[str, Any], channel: socket.socket) -> NoReturn:
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        syscalls.prctl(_PDEATHSIG, signal.SIGKILL)
        if spec["record"]:
            chowning.send(channel, chowning.install())
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.umask(0o022)
        os.execve(spec["argv"][0], spec["argv"], spec["env"])
    except OSError as error:
        print(f"proot: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(125)


def _ended(number: int, frame: FrameType | None) -> None:
    end_descendants()
    os._exit(128 + number)


def end_descendants() -> None:
    """All processes that come from this one, also those that come while we are at it."""
    while found := _descendants():
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, 0)[0]:
                pass


def _descendants() -> list[int]:
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat") as file:
                state, above = file.read().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(name)] = int(above)
    found, waiting = [], [os.getpid()]
    while waiting:
        parent = waiting.pop()
        children = [pid for pid, its in parents.items() if its == parent]
        found += children
        waiting += children
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
