"""The container engine of one submission: the grader's, fresh, empty, and confined like the learner's kernel.

    worker ── starts ──▶ engine (confined: a directory of its own, nobody's rights)
      │ checks ask it           ▲ docker.sock
      ▼                         │ may be spoken to, and nothing else of the engine can be seen
    results                   kernel (the learner's, confined)

What a learner's containers do they do inside of the engine's confinement: `docker run -v /:/host` shows them no more
than their kernel sees.  A chapter gets an engine by ENGINE = True in its module of checks.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from kitlib.grading import confine
from kitlib.runtime.treecopy import remove_tree

UID = 65533  # not the kernel's: where files are all that protects, it must not be able to change the engine's
START_SECONDS = 30.0
STOP_SECONDS = 3.0
_PROGRAM = "import sys; from kitlib.cli.main import main; sys.exit(main(['engine', 'up', '--foreground']))"


class GradedEngine:
    """place: an empty directory, the engine's.  hide: what its containers must not see.  seconds: of CPU at most."""

    def __init__(self, place: Path, hide: Sequence[Path], seconds: int) -> None:
        self.place, self._hide, self._seconds = place, hide, seconds
        self._process: subprocess.Popen[bytes] | None = None
        self.host = ""

    @property
    def socket(self) -> Path:
        return Path(self.host.removeprefix("unix://"))

    def start(self) -> str:
        """What DOCKER_HOST is to be.  Raises RuntimeError if it does not come up."""
        argv = confine.command(confine.strongest(), [sys.executable, "-c", _PROGRAM], work=self.place, hide=self._hide,
                               seconds=self._seconds, uid=UID)
        env = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        env |= {"HOME": str(self.place), "KIT_HOME": str(self.place), "TMPDIR": str(self.place), "KIT_LOG": "WARNING"}
        self._process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         cwd=self.place)
        self.host = self._said()
        # The learner's kernel may be another user: it is let in by the file's rights, and by nothing else.
        os.chmod(self.socket, 0o666)
        for directory in (self.socket.parent, self.place):
            os.chmod(directory, 0o711)
        return self.host

    def _said(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        said, end = b"", time.monotonic() + START_SECONDS
        while b"\n" not in said and (left := end - time.monotonic()) > 0:
            if select.select([self._process.stdout], [], [], left)[0]:
                piece = os.read(self._process.stdout.fileno(), 4096)
                if not piece:
                    break
                said += piece
        name, _, host = said.decode().strip().partition("=")
        if name != "export DOCKER_HOST":
            self.stop()
            raise RuntimeError("the container engine of this submission did not start")
        return host

    def stop(self) -> None:
        """End it and everything in it, and remove its files."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
        remove_tree(self.place)
