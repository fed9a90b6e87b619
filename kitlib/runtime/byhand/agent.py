"""What runs in a box: a loop that takes one order at a time from the notebook, does it to itself, and answers.

    order   {"do": "hostname", "args": ["web"]}
    answer  {"value": …}   {"refused": errno}   {"mistake": "a sentence"}

One thread, no libraries: a process with threads may not leave its user namespace.  It ends when the notebook does: the
channel closes, and everything it has started ends with it.

A step that would change the *machine* instead of the box (a hostname without a uts namespace) is a mistake, and is not
done: notebooks may be root.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from kitlib.runtime.byhand import namespaces, net, root, users
from kitlib.runtime.process import syscalls

RUN_SECONDS = 20.0
OUTPUT = 200_000  # characters of a command's output


class Mistake(Exception):
    """The step would change the machine and not the box, or makes no sense yet."""


class Agent:
    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.outside = namespaces.of()
        self.user = os.geteuid(), os.getegid()
        self.moved = False  # to a root directory of its own
        self.steps: dict[str, Callable[..., Any]] = {
            "unshare": namespaces.unshare, "map_users": self.map_users, "become_root": users.become_root,
            "hostname": self.hostname, "fork": self.fork, "mount_proc": self.mount_proc, "new_root": self.new_root,
            "chroot": self.chroot, "pivot_root": self.pivot_root, "break_out": self.break_out,
            "loopback_up": self.loopback_up, "join": self.join, "run": self.run, "start": self.start,
        }  # fmt: skip

    def own(self, kind: str, otherwise: str) -> None:
        """Raises Mistake if the box still shares the machine's namespace of this kind."""
        if namespaces.of()[kind] == self.outside[kind]:
            raise Mistake(f"{otherwise} The box has no {kind} namespace of its own yet.")

    def map_users(self) -> None:
        self.own("user", "There is nobody to map.")
        users.map_myself(*self.user)
        users.become_root()

    def hostname(self, name: str) -> None:
        self.own("uts", "That would have renamed your whole machine.")
        socket.sethostname(name)

    def mount_proc(self) -> None:
        self.own("mnt", "That would have covered the machine's /proc.")
        self.own("pid", "It would only show the same processes again. (A new one counts for children: fork.)")
        root.mount_proc()

    def new_root(self, files: dict[str, str]) -> None:
        self.own("mnt", "That would have been mounted on your machine, for all to see.")
        root.new_root(root.PLACE, files)

    def chroot(self) -> None:
        self.own("mnt", "There is no new root to go to.")
        self._made()
        root.chroot(root.PLACE)
        self.moved = True

    def pivot_root(self) -> None:
        self.own("mnt", "That would have moved your whole machine.")
        self._made()
        root.pivot_root(root.PLACE)
        self.moved = True

    def _made(self) -> None:
        if not os.path.isdir(f"{root.PLACE}/etc"):
            raise Mistake("There is no new root to go to: `new_root` makes one.")

    def break_out(self) -> list[str]:
        if not self.moved:
            raise Mistake("There is nothing to break out of: the box is in the machine's root directory.")
        return root.break_out()

    def loopback_up(self) -> None:
        self.own("net", "The machine's own `lo` is up already.")
        net.loopback_up()

    def join(self, pid: int, kinds: list[str]) -> None:
        namespaces.join(pid, kinds)
        if "user" in kinds:
            users.become_root()

    def fork(self) -> int:
        """The child goes on as the box; this process only waits for its end.  Returns the child's number, here."""
        if not _children_are_apart():
            raise Mistake("A child would be in the same process list as everybody: unshare `pid` first.")
        child = os.fork()
        if child == 0:
            raise _NowInside
        self.answer({"value": child})
        self.channel.close()
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 255)

    def run(self, command: str) -> dict[str, Any]:
        done = subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=RUN_SECONDS, check=False)
        return {"code": done.returncode, "output": done.stdout.decode(errors="replace")[:OUTPUT]}

    def start(self, command: str) -> int:
        """In the background; it ends with the box.  Returns its number as the box sees it."""
        return subprocess.Popen(["sh", "-c", f"exec {command}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, preexec_fn=_end_with_us).pid  # noqa: PLW1509 (one thread)

    # -- the loop ------------------------------------------------------------------------------------

    def answer(self, message: dict[str, Any]) -> None:
        self.channel.sendall(json.dumps(message).encode() + b"\n")

    def serve(self) -> NoReturn:
        with self.channel.makefile("rb") as orders:
            while line := orders.readline():
                order = json.loads(line)
                try:
                    self.answer({"value": self.steps[order["do"]](*order["args"])})
                except _NowInside:
                    continue
                except subprocess.TimeoutExpired:
                    self.answer({"mistake": f"That took longer than {RUN_SECONDS:g} seconds, and was ended."})
                except (Mistake, ValueError) as error:
                    self.answer({"mistake": str(error)})
                except OSError as error:
                    self.answer({"refused": error.errno or 0})
        os.killpg(0, signal.SIGKILL)  # the notebook is gone: so are we, with all that is in our group
        os._exit(0)


class _NowInside(Exception):
    """Raised in the child of fork: the order was answered by its parent."""


def _children_are_apart() -> bool:
    """Whether the next child is in another pid namespace.  One that waits for its first child has no link yet."""
    try:
        return os.readlink("/proc/self/ns/pid_for_children") != os.readlink("/proc/self/ns/pid")
    except FileNotFoundError:
        return True


def _end_with_us() -> None:
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    syscalls.prctl(syscalls.PR_SET_NAME, b"box\0")  # what `ps -o comm` calls us
    Agent(channel).serve()


if __name__ == "__main__":
    main()
