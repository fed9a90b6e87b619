"""What a notebook holds of a box: steps are methods, and what became of each is printed, and noted.

    box = Box("web")              a process, and nothing else yet
    box.unshare("user")           one step closer to a container
    box.run("id")
    box.json()                    the steps, what was refused, and which namespaces it is in now

A refusal of the kernel is no exception: it is explained, and the notebook goes on.  What is refused here may be allowed
on the next machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import textwrap
from collections.abc import Mapping
from typing import Any

from kitlib.runtime.byhand import limits, namespaces, refused, users, wire
from kitlib.runtime.byhand.refused import BoxError
from kitlib.runtime.process.isolation import python_command

_NAMES: dict[str, Box] = {}
_EXPLAINED: set[str] = set()  # a reason is told once
_ANSWER_SECONDS = 30.0


class Said(str):
    """A command's output.  It was printed already, so a cell that ends with it does not show it again."""

    def _ipython_display_(self) -> None:
        """Nothing."""


class Report(dict[str, Any]):
    """A box as plain data: name, pid, steps, refused, mistakes, namespaces, outside.  It is shown in one line."""

    def __repr__(self) -> str:
        without = f" (refused: {len(self['refused'])})" if self["refused"] else ""
        return f"<box {self['name']}: {', '.join(self['steps']) or 'no step yet'}{without}>"


class Box:
    """A process on its way to being a container.  One of the same name that was there before is ended.

    pid: its number, as this notebook sees it.  steps: what was done to it.  refused: step → why.
    """

    def __init__(self, name: str) -> None:
        if not name.isalnum():
            raise BoxError(f"a box's name is letters and digits, not {name!r}")
        if before := _NAMES.pop(name, None):
            before.end()
        self.name = name
        self.steps: list[str] = []
        self.refused: dict[str, str] = {}
        self.mistakes: list[str] = []
        self.outside = namespaces.of()
        self.cgroup: limits.Group | None = None
        self._process = self._begin()
        self.pid = self._process.pid
        _NAMES[name] = self

    def _begin(self) -> subprocess.Popen[bytes]:
        ours, theirs = socket.socketpair()
        ours.settimeout(_ANSWER_SECONDS)
        self._channel, self._answers = ours, ours.makefile("rb")
        command, env = python_command("kitlib.runtime.byhand.agent", str(theirs.fileno()))
        with theirs:
            return subprocess.Popen(command, env=env, cwd="/", pass_fds=[theirs.fileno()], start_new_session=True,
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    # -- the steps -----------------------------------------------------------------------------------

    def unshare(self, *kinds: str) -> None:
        """Leave namespaces for new ones, one after the other: user, mnt, pid, uts, ipc, net, cgroup."""
        for kind in kinds:
            self._step(f"unshare {_known(kind)}", "unshare", kind)

    def map_users(self) -> None:
        """Be root of the new user namespace: 0 inside is an ordinary number outside."""
        step = "map_users"
        if os.geteuid() or namespaces.of(self.pid)["user"] == self.outside["user"]:
            self._step(step, "map_users")
            return
        try:
            users.map_from_outside(self.pid)
        except OSError as error:
            self._note_refusal(step, error.errno or 0)
            return
        self._step(step, "become_root")

    def hostname(self, name: str) -> None:
        self._step(f"hostname {name}", "hostname", name)

    def fork(self) -> None:
        """Let a child go on as the box: in a new pid namespace only children are, and the first is number 1."""
        child = self._step("fork", "fork")
        if child is not None:
            self.pid = child

    def mount_proc(self) -> None:
        self._step("mount_proc", "mount_proc")

    def new_root(self, files: Mapping[str, str] | None = None) -> None:
        """Make a root directory, in memory.  files: what shall be in it besides the machine's programs."""
        self._step("new_root", "new_root", dict(files or {}))

    def chroot(self) -> None:
        self._step("chroot", "chroot")

    def pivot_root(self) -> None:
        self._step("pivot_root", "pivot_root")

    def loopback_up(self) -> None:
        self._step("loopback_up", "loopback_up")

    def join(self, other: Box, *kinds: str) -> None:
        """Go into namespaces that another box is in."""
        step = " ".join(["join", other.name, *map(_known, kinds)])
        if any(f"unshare {kind}" in other.refused for kind in kinds):
            self._not_tried(step, f"{other.name} could not get them, so there is nothing to join.")
            return
        self._step(step, "join", other.pid, list(kinds))

    def limit(self, *, memory: str | int = 0, pids: int = 0, cpu: float = 0) -> None:
        """Put the box into a cgroup, from outside.  memory: "32M"; pids: how many processes; cpu: processors."""
        asked = {"memory": memory, "pids": pids, "cpu": cpu}
        step = " ".join(["limit", *(f"{key}={value}" for key, value in asked.items() if value)])
        group = limits.Group(f"kit-box-{self.name}-{os.getpid()}")
        try:
            group.limit(memory=limits.size(memory), pids=pids, cpu=cpu)
            group.add(self.pid)
        except ValueError as error:
            raise BoxError(str(error)) from None
        except OSError as error:
            group.remove()
            self._note_refusal(step, error.errno or 0)
            return
        self.cgroup = group
        self.steps.append(step)

    # -- looking, and running ------------------------------------------------------------------------

    def run(self, command: str, *, show: bool = True) -> str:
        """Run a shell command in the box; print what it says, and return it without its last line end."""
        answer = self._ask("run", command)
        if "refused" in answer:
            _tell(f"run: refused. {refused.explain('run', answer['refused'])}")
            return Said("")
        if "mistake" in answer:
            raise BoxError(answer["mistake"])
        said = Said(answer["value"]["output"].rstrip("\n"))
        if show and said:
            print(said)
        return said

    def start(self, command: str) -> int:
        """Start a command in the background of the box; it ends with the box.  Its number, as the box sees it."""
        answer = self._ask("start", command)
        if "value" not in answer:
            raise BoxError(answer.get("mistake") or refused.explain("run", answer["refused"]))
        return int(answer["value"])

    def break_out(self) -> list[str]:
        """Try to walk out of the root directory.  What `ls /` says after that."""
        answer = self._ask("break_out")
        if "mistake" in answer:
            _tell(f"break_out: not done. {answer['mistake']}")
        return list(answer.get("value") or [])

    @property
    def namespaces(self) -> dict[str, int]:
        """kind → number.  Raises BoxError if the box has ended."""
        try:
            return namespaces.of(self.pid)
        except FileNotFoundError:
            raise BoxError(f"the box {self.name} has ended: make it anew") from None

    def json(self) -> Report:
        """The box as an answer: plain data."""
        return Report({"name": self.name, "pid": self.pid, "steps": self.steps, "refused": self.refused,
                       "mistakes": self.mistakes, "namespaces": self.namespaces, "outside": self.outside})

    def end(self) -> None:
        """End it, with all that runs in it."""
        self._channel.close()
        self._answers.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self.cgroup:
            self.cgroup.remove()
        if _NAMES.get(self.name) is self:
            del _NAMES[self.name]

    def __repr__(self) -> str:
        done = [step for step in self.steps if step not in self.refused]
        return f"box {self.name}: process {self.pid}, {', '.join(done) or 'a process like any other'}"

    # -- inside --------------------------------------------------------------------------------------

    def _step(self, step: str, order: str, *arguments: Any) -> Any:
        """Have a step done; None if it was refused."""
        depends = self._depends(step)
        if depends:
            self._not_tried(step, f"It needs `{depends}`, and that was refused.")
            return None
        answer = self._ask(order, *arguments)
        if "mistake" in answer:
            self.mistakes.append(step)
            _tell(f"{step}: not done. {answer['mistake']}")
            return None
        if "refused" in answer:
            self._note_refusal(step, answer["refused"])
            return None
        self.steps.append(step)
        return answer["value"] if answer["value"] is not None else True

    def _depends(self, step: str) -> str:
        """The refused step without which this one would hit the machine instead of the box."""
        needs = {"map_users": "user", "hostname": "uts", "fork": "pid", "mount_proc": "mnt", "new_root": "mnt",
                 "chroot": "mnt", "pivot_root": "mnt", "loopback_up": "net"}  # fmt: skip
        kind = needs.get(step.partition(" ")[0], "")
        wanted = f"unshare {kind}"
        return wanted if kind and wanted in self.refused else ""

    def _note_refusal(self, step: str, number: int) -> None:
        why = refused.explain(step, number)
        if step.startswith("unshare") and "unshare user" in self.refused:
            why = f"{os.strerror(number)}. Root of a user namespace might, and there is none to be had."
        self.steps.append(step)
        self.refused[step] = why
        again = why in _EXPLAINED
        _EXPLAINED.add(why)
        _tell(f"{step}: refused{', as before.' if again else '. ' + why}")

    def _not_tried(self, step: str, why: str) -> None:
        self.steps.append(step)
        self.refused[step] = why
        _tell(f"{step}: not tried. {why}")

    def _ask(self, order: str, *arguments: Any) -> dict[str, Any]:
        try:
            self._channel.sendall(json.dumps({"do": order, "args": arguments}).encode() + b"\n")
            line = self._answers.readline()
        except (OSError, ValueError):
            line = b""
        if not line:
            raise BoxError(f"the box {self.name} has ended: make it anew with kit.box({self.name!r})")
        return dict(json.loads(line))


def _tell(sentence: str) -> None:
    """Print a sentence, broken where words end."""
    print("\n    ".join(textwrap.wrap(sentence, 110)))


def _known(kind: str) -> str:
    if kind not in namespaces.KINDS:
        raise BoxError(f"there is no namespace {kind!r}. There are: {', '.join(namespaces.KINDS)}.")
    return kind


def plug(a: Box, b: Box) -> None:
    """Connect two boxes with a cable, 10.9.0.1 and 10.9.0.2, and print the commands that did it."""
    if any("unshare net" in box.refused for box in (a, b)):
        print("plug: not tried. A box without a network namespace of its own has no place for a cable.")
        return
    try:
        print("\n".join(wire.plug(a.pid, b.pid)))
    except OSError as error:
        print(f"plug: refused. {error}")


def allowed() -> list[refused.Permission]:
    """What this machine allows of a container, each found out by trying."""
    command, env = python_command("kitlib.runtime.byhand.refused")
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
    return [refused.Permission(*row) for row in json.loads(done.stdout)]
