"""What the containers of one Pod share, where namespaces are allowed: the role of the pause container.

                         user   ipc   uts   pid           mnt
    first container      made   made  made  own           own
    the ones after it    ◀── entered ──▶    own           own
    shareProcessNamespace   all four entered; made by     own
                            `pause`, which is process 1

The network is shared everywhere, by the Pod's address (notifier.py).  A user, IPC or UTS namespace lives as long as
somebody holds a descriptor of it, so the daemon does, and no process is needed.  A PID namespace dies with its process
1: only for it is there a `pause`, which sees nothing but an empty, read-only root, and reaps orphans.

Source: CRI's NamespaceMode; kubernetes/build/pause/linux/pause.c; man pid_namespaces(7), ioctl_ns(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import signal
import socket
from typing import NoReturn

from kitlib.runtime.process import rootfs, syscalls
from kitlib.runtime.process.isolation import Isolation

_MOST_ARGUMENTS = 1 << 16
_FLAGS = {"ipc": syscalls.CLONE_NEWIPC, "uts": syscalls.CLONE_NEWUTS, "net": syscalls.CLONE_NEWNET}


class PodSpace:
    """The namespaces of one sandbox.  `joined(own_pids)` is what a container has to enter, by name.

    kinds: what all containers share.
    """

    def __init__(self, isolation: Isolation, directory: str, kinds: tuple[str, ...] = ("ipc", "uts")) -> None:
        self._isolation, self.directory, self._kinds = isolation, directory, kinds
        self._kept: dict[str, int] = {}
        self._pause = -1  # a pidfd (Linux 5.3): its number might be another process's by now

    def joined(self, *, share_pids: bool) -> dict[str, int]:
        """Descriptors of the namespaces that are there already.  Raises OSError if there can be no `pause`."""
        if not self._isolation.namespaces:
            return {}
        if share_pids and not self._is_paused():
            self._end_pause()
            if self._isolation.user_namespace:  # only with a new user namespace may a user make a PID namespace
                self._let_go()
            self.start_pause()
        return {name: fd for name, fd in self._kept.items() if share_pids or name != "pid"}

    def remember(self, pid: int) -> None:
        """Keep what a container has just been given for those that come after it."""
        if not self._isolation.namespaces:
            return
        for name in (*self._kinds, "user") if self._isolation.user_namespace else self._kinds:
            if name not in self._kept:
                try:
                    self._kept[name] = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
                except OSError:  # it has ended already: the next one makes its own
                    return

    def close(self) -> None:
        """The Pod ends: with `pause` goes whatever is left in its PID namespace."""
        self._end_pause()
        self._let_go()
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(self.directory)

    def _let_go(self) -> None:
        for fd in self._kept.values():
            os.close(fd)
        self._kept.clear()

    def _is_paused(self) -> bool:
        """Whether process 1 is there: one of the Pod's own may have told it to end, and all of them ended with it."""
        if self._pause < 0:
            return False
        poll = select.poll()
        poll.register(self._pause, select.POLLIN)
        return not poll.poll(0)

    def _end_pause(self) -> None:
        if self._pause >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pause, signal.SIGKILL)  # reaped by the daemon, like all its children
            os.close(self._pause)
            os.close(self._kept.pop("pid"))
            self._pause = -1

    def start_pause(self) -> None:
        """Raises OSError."""
        shared = dict(self._kept)
        flags = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID
        if not shared:
            flags |= sum(_FLAGS[kind] for kind in self._kinds)
            flags |= syscalls.CLONE_NEWUSER if self._isolation.user_namespace else 0
        os.makedirs(self.directory, exist_ok=True)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        outside = os.geteuid(), os.getegid()
        pid = syscalls.clone(flags)
        if pid == 0:
            try:
                if flags & syscalls.CLONE_NEWUSER:
                    rootfs.map_user(*outside, 0, 0)
                _pause(self.directory, theirs)
            except BaseException as error:
                theirs.send(str(error).encode())
            finally:
                os._exit(1)
        theirs.close()
        with ours:
            report = ours.recv(1000).decode()
        if report != "ready":
            raise OSError(errno.EAGAIN, f"the Pod's process 1 does not start: {report}")
        self.remember(pid)
        self._kept["pid"] = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._pause = os.pidfd_open(pid)


def _pause(directory: str, channel: socket.socket) -> NoReturn:
    """Be process 1: no files of the host's, no name of the daemon's, nothing to do but to reap."""
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGINT, signal.SIGTERM):  # as in pause.c: told to end, it ends, and the Pod's processes too
        signal.signal(number, lambda number, frame: os._exit(0))
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    os.setsid()
    _forget_command_line(b"/pause")
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("tmpfs", directory, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755,size=4k")
    flags = syscalls.MS_REMOUNT | syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("tmpfs", directory, "", flags)
    syscalls.pivot_root(directory)
    syscalls.prctl(syscalls.PR_SET_NAME, b"pause\0")
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    syscalls.close_from(0, (channel.fileno(),))
    channel.send(b"ready")
    channel.close()
    while True:
        try:
            os.wait()
        except ChildProcessError:
            signal.pause()


def _forget_command_line(name: bytes) -> None:
    """Overwrite the arguments and the environment that /proc would show to the Pod (proc(5), fields 48 to 51)."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b") ")[2].split()
    for number, text in ((48, name), (50, b"")):
        start, end = int(fields[number - 3]), int(fields[number - 2])
        if start and len(text) < end - start < _MOST_ARGUMENTS:
            ctypes.memset(start, 0, end - start)
            ctypes.memmove(start, text, len(text))
