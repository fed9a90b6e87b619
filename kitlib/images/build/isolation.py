"""RUN: a program among an image's files, as well isolated as this machine allows; and what it has changed.

    overlay   namespaces of its own (sandbox.py); the layers are mounted, what changes lands in a directory
    proot     where no namespaces are allowed: a copy of the files, and proot makes it the root
    none      neither: RUN is refused, everything else of a Dockerfile works

Source: proot(1); Linux, Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kitlib.images.build.results import Cancel
from kitlib.images.errors import ImageError
from kitlib.images.layer import Whiteouts
from kitlib.images.layerwriter import Entry, of_difference, of_upper, same, without
from kitlib.images.merged import Merged
from kitlib.runtime.treecopy import copy_tree, remove_tree


@dataclass(frozen=True)
class Bind:
    """A directory or file of this machine that the program sees at `target`; None: a fresh directory in memory."""

    target: str
    source: Path | None
    readonly: bool = False
    options: str = ""  # of the memory file system


@dataclass(frozen=True)
class Program:
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    user: tuple[int, int]
    binds: Sequence[Bind]
    network: bool = True
    groups: Sequence[int] = ()


@functools.cache
def strongest() -> str:
    """overlay, proot or none: found by trying.  KIT_BUILD=proot or none does without what is better."""
    from kitlib.runtime.process.prootview import find_proot, try_out

    wanted = os.environ.get("KIT_BUILD", "")
    if not wanted and _overlay_works():
        return "overlay"
    return "proot" if wanted != "none" and find_proot() and not try_out(find_proot()) else "none"


def _overlay_works() -> bool:
    with tempfile.TemporaryDirectory() as place:
        system = [Bind(path, Path(path), True) for path in ("/usr", "/bin", "/lib", "/lib64") if os.path.exists(path)]
        space = _Overlay([], Path(place))
        program = Program(["/usr/bin/touch", "/touched"], {}, "/", (0, 0), system)
        return space.run(program, lambda _: None, Cancel()) == 0 and (space.place / "upper/touched").exists()


def whiteouts() -> Whiteouts:
    """In which form layers have to be unpacked here."""
    if strongest() != "overlay":
        return Whiteouts.REMOVE
    return Whiteouts.OVERLAY if os.geteuid() == 0 else Whiteouts.USER


def workspace(trees: Sequence[Path], scratch: Path) -> _Workspace:
    """An image's files, ready to be changed by one program.  trees: the topmost first.  Raises ImageError."""
    kind = strongest()
    if kind == "none":
        raise ImageError("RUN cannot be carried out here: this machine allows no namespaces, and proot is not "
                         "installed (Debian: apt-get install proot)")
    return (_Overlay if kind == "overlay" else _Copy)(trees, scratch)


class _Workspace:
    def __init__(self, trees: Sequence[Path], scratch: Path) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="run-", dir=scratch))
        self._empty = self.place / "empty"
        self._empty.mkdir()
        self._trees = list(trees) or [self._empty]
        self._mine = -1 if os.geteuid() == 0 else os.geteuid()

    def close(self) -> None:
        remove_tree(self.place)

    def run(self, program: Program, output: Callable[[bytes], None], cancel: Cancel) -> int:
        """The exit code; 128 + n for death by signal n."""
        command, env = self._command(program)
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   env=env, start_new_session=True)
        assert running.stdout is not None
        try:
            with running.stdout, cancel.calling(lambda: self._end(running)):
                while piece := os.read(running.stdout.fileno(), 65536):
                    output(piece)
                code = running.wait()
        finally:
            self._end(running)
            running.wait()
        return code if code >= 0 else 128 - code

    def _command(self, program: Program) -> tuple[list[str], dict[str, str]]:
        raise NotImplementedError

    @staticmethod
    def _end(running: subprocess.Popen[bytes]) -> None:
        """Everything of the step."""
        with contextlib.suppress(ProcessLookupError):
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)

    def _changes(self) -> Iterator[Entry]:
        raise NotImplementedError

    def _root(self) -> Path:
        """Where a changed file lies."""
        raise NotImplementedError

    def chowned(self, entries: Iterable[Entry]) -> dict[str, tuple[int, int]]:
        """Where the program's chown could not be carried out: path → (uid, gid), -1 for what it left."""
        from kitlib.images.build.chowning import LIST, note

        listed: dict[str, list[int]] = {}
        with contextlib.suppress(FileNotFoundError, ValueError):
            listed = json.loads((self.place / LIST).read_text())
        found = {entry.path: note(self._root() / entry.path) or listed.get(entry.path) for entry in entries}
        return {path: (who[0], who[1]) for path, who in found.items() if who}

    def entries(self, program: Program) -> list[Entry]:
        """What is different now; what was made so that something could be mounted on it does not count."""
        ours = {bind.target.lstrip("/") for bind in _binds(program)} | {"proc", "sys", "dev"}
        before = Merged(self._trees)

        def changed(path: str) -> bool:
            old = before.find(path)
            return old is not None and not same(old, self._root() / path)

        return without(self._changes(), ours, changed)


def _binds(program: Program) -> Iterator[Bind]:
    """The step's own mounts, after what every program needs to find names."""
    targets = {bind.target for bind in program.binds}
    for path in ("/etc/resolv.conf", "/etc/hosts"):
        if path not in targets and os.path.exists(path):
            yield Bind(path, Path(os.path.realpath(path)), readonly=True)
    yield from program.binds


class _Overlay(_Workspace):
    """sandbox.py mounts the layers; what the program changes lands in `upper`."""

    def __init__(self, trees: Sequence[Path], scratch: Path) -> None:
        super().__init__(trees, scratch)
        for name in ("upper", "work", "root"):
            (self.place / name).mkdir()
        for i, tree in enumerate(self._trees):
            (self.place / f"l{i}").symlink_to(tree.absolute())

    def _command(self, program: Program) -> tuple[list[str], dict[str, str]]:
        from kitlib.runtime.process.isolation import python_command

        spec = self.place / "spec.json"
        spec.write_text(json.dumps({
            "place": str(self.place.absolute()), "lowers": [f"l{i}" for i, _ in enumerate(self._trees)],
            "binds": [[b.target, str(b.source) if b.source else None, b.readonly, b.options]
                      for b in sorted(_binds(program), key=lambda b: b.target.count("/"))],
            "argv": list(program.argv), "env": dict(program.env), "cwd": program.cwd, "user": program.user,
            "network": program.network, "groups": list(program.groups)}))
        return python_command("kitlib.images.build.sandbox", str(spec))

    def _root(self) -> Path:
        return self.place / "upper"

    def _changes(self) -> Iterator[Entry]:
        return of_upper(self.place / "upper", mine=self._mine)


class _Copy(_Workspace):
    """A copy of all files, and proot: slower, but nothing is needed for it."""

    def __init__(self, trees: Sequence[Path], scratch: Path) -> None:
        super().__init__(trees, scratch)
        self._copy = self.place / "copy"
        copy_tree(self._trees[0], self._copy)

    def _command(self, program: Program) -> tuple[list[str], dict[str, str]]:
        from kitlib.runtime.process.prootview import environment, find_proot

        user = f"{program.user[0]}:{program.user[1]}"
        from kitlib.runtime.process.isolation import python_command

        command = [find_proot(), "-v", "-1", "-i", user, "-r", str(self._copy)]
        command += [word for path in ("/proc", "/sys", "/dev") for word in ("-b", path)]
        for bind in _binds(program):
            source = bind.source or Path(tempfile.mkdtemp(dir=self.place))
            command += ["-b", f"{source}:{bind.target}"]
        (self._copy / program.cwd.lstrip("/")).mkdir(parents=True, exist_ok=True)
        spec = self.place / "spec.json"
        spec.write_text(json.dumps({
            "argv": [*command, "-w", program.cwd, *program.argv],
            "env": {**program.env, **environment(str(self.place))},
            "root": str(self._copy), "place": str(self.place), "parent": os.getpid(),
            "record": os.geteuid() != 0 and program.user[0] == 0}))
        return python_command("kitlib.images.build.keeper", str(spec))

    @staticmethod
    def _end(running: subprocess.Popen[bytes]) -> None:
        if running.poll() is None:
            running.terminate()  # keeper.py ends all that came of it

    def _root(self) -> Path:
        return self._copy

    def _changes(self) -> Iterator[Entry]:
        return of_difference(self._trees[0], self._copy, mine=self._mine)
