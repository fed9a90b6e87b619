"""Starting a container's process with runc (or crun): the launcher runs for a moment, the process goes on alone.

    daemon ── runc run --detach ──▶ container's process 1     its parent ends, so it becomes the daemon's child
           ◀── pid file ────────── which pid it is            (PR_SET_CHILD_SUBREAPER), and the daemon reaps it
           ◀── exit code, log ──── why it could not start
           ◀── console socket ──── the terminal, if it has one

An exec session is the same with `runc exec --detach`.  Standard input and output are the pipes of the process
runtime's `Task`, handed on through the launcher.

Source: runc's man pages runc-run(8) and runc-exec(8), docs/terminals.md ("detached mode"); containerd's go-runc.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kitlib.runtime.oci.command import Launcher
from kitlib.runtime.process.loop import Loop
from kitlib.runtime.process.paths import remove_tree, socket_path
from kitlib.runtime.process.task import Task

_PREFIX = re.compile(r"^(runc|crun) (run|create|exec) failed: |unable to start container process: |exec failed: ")


class Reaped(dict[int, Any]):
    """Who waits for which child.  `early`: ends of children whose launcher has not ended yet, so nobody knows them."""

    def __init__(self) -> None:
        super().__init__()
        self.early: dict[int, int] = {}
        self.launching = 0


class OciTask(Task):
    """prepare: writes the bundle of a new container.  arguments: the program with its global options, and the id."""

    def __init__(self, loop: Loop, reap: Reaped, spec: Mapping[str, Any], directory: str, runtime: Sequence[str],
                 identity: str, describe: Callable[[Mapping[str, int]], str],
                 process: Callable[[tuple[str, ...], bool], dict[str, Any]], **inherited: Any) -> None:
        super().__init__(loop, reap, spec=spec, root="", **inherited)
        self._children, self._runtime, self._identity = reap, runtime, identity
        self._describe, self._process = describe, process
        self._place = f"{directory}/task-{os.urandom(8).hex()}"
        self._console: socket.socket | None = None

    def start(self, argv: tuple[str, ...], *, stdin: bool, tty: bool, join: int = 0,
              shared: Mapping[str, int] | None = None) -> None:
        os.makedirs(self._place)
        self._tty = tty
        options = ["--detach", "--pid-file", f"{self._place}/pid"]
        if tty:
            options += ["--console-socket", self._listen()]
        if join:
            with open(f"{self._place}/process.json", "w") as file:
                json.dump(self._process(argv, tty), file)
            tail = ["exec", *options, "--process", f"{self._place}/process.json", self._identity]
        else:
            tail = ["run", *options, "--bundle", self._describe(shared or {}), self._identity]
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        ends = (null, null, null) if tty else self._pipes(stdin)
        try:
            launcher = Launcher([*self._runtime, "--log", f"{self._place}/log", "--log-format", "json", *tail], ends,
                                self._launched)
        finally:
            for fd in {*ends, null}:
                os.close(fd)
        self._children.launching += 1
        self._children[launcher.pid] = launcher

    def _listen(self) -> str:
        """The socket on which the launcher hands over the terminal; its name has to be short."""
        self._console = socket.socket(socket.AF_UNIX)
        path = f"{self._place}/console"
        with socket_path(path) as name:
            self._console.bind(name)
        self._console.listen(1)
        self._console.setblocking(False)
        self._directory = os.open(self._place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/{os.getpid()}/fd/{self._directory}/console"

    def _take_terminal(self) -> None:
        if self._console is None:
            return
        try:
            connection, _ = self._console.accept()
            with connection:
                _, fds, _, _ = socket.recv_fds(connection, 4096, 1, socket.MSG_CMSG_CLOEXEC)
            if fds:
                os.set_blocking(fds[0], False)
                self._stdin = fds[0]
                self._outputs[fds[0]] = 1
        except OSError:  # the launcher failed before it had one
            pass
        self._console.close()
        os.close(self._directory)
        self._console = None

    def _launched(self, code: int) -> None:
        """The launcher has ended: there is a process now, or a reason why not."""
        self._children.launching -= 1
        self._take_terminal()
        self._error = self._reason() if code else ""
        if not code:
            with open(f"{self._place}/pid") as file:
                self.pid = int(file.read())
        remove_tree(self._place)
        early = self._children.early.pop(self.pid, None) if self.pid else None
        if not self._children.launching:
            self._children.early.clear()
        if self._error:
            for fd in list(self._outputs):
                self._close_output(fd)
            self._shut_stdin()
            self.on_started(self._error)
            return
        self._children[self.pid] = self
        self._started = True
        self.on_started("")
        self.pause(False)
        if early is not None:
            del self._children[self.pid]
            self.exited(early)

    def _reason(self) -> str:
        """The launcher's last words, without what containerd's sentence around them says anyway."""
        try:
            with open(f"{self._place}/log") as file:
                lines = [json.loads(line) for line in file if line.strip()]
        except (OSError, ValueError):
            lines = []
        errors = [line.get("msg", "") for line in lines if line.get("level") in ("error", "fatal")]
        return why(errors[-1]) if errors else f"{os.path.basename(self._runtime[0])} gave no reason"


def why(message: str) -> str:
    """runc's sentence without its frame, and crun's in runc's words: kubectl shows it, and people search for it."""
    found = re.match(r"(?:\w+ )?executable file [`'](.*?)[`'] not found in \$PATH", message)
    if found:
        name = found[1]
        return f'exec: "{name}": stat {name}: no such file or directory' if "/" in name else \
            f'exec: "{name}": executable file not found in $PATH'
    previous = ""
    while previous != message:
        previous, message = message, _PREFIX.sub("", message, count=1)
    return message
