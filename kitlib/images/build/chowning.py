"""chown without root: what a RUN's program wants to give away stays ours, and the layer says what was wanted.

    program: chown app /srv ──▶ kernel: wait (seccomp) ──▶ Recorder: a note on the file itself, answer 0
    afterwards: note on /srv ──▶ the layer's entry: 1000:2000

The note is an extended attribute: it goes along when the file is renamed (as package managers do) or copied by
`cp -a`.  Symbolic links can have none; for them, and where a file system knows no such attributes, a list of paths
stands in.  What stat(2) says meanwhile is not changed, so `chown 0:5` of somebody's file looks like `chgrp 5`.

Source: man seccomp_unotify(2), chown(2), xattr(7); fakeroot(1).
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from kitlib.runtime import inroot
from kitlib.runtime.process import filter as seccomp
from kitlib.runtime.process import syscalls
from kitlib.runtime.process.listener import Listener
from kitlib.runtime.process.loop import Loop

NOTE, LIST = "user.kit.owner", "chowned"
_NO_FOLLOW, _EMPTY_PATH, _HERE = 0x100, 0x1000, -100
_LONGEST = 4096


def install() -> int:
    """In the child, before it becomes the program.  Returns the listener, or -1 where the kernel has none."""
    try:
        return seccomp.install(seccomp.Wanted(addresses=False, ownership=True))
    except OSError:
        return -1


def send(channel: socket.socket, listener: int) -> None:
    fds = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))] if listener >= 0 else []
    channel.sendmsg([b"x"], fds)
    if listener >= 0:
        os.close(listener)


def receive(channel: socket.socket) -> int:
    """-1 if the child has none, or has ended before it could say so."""
    _, fds, _, _ = socket.recv_fds(channel, 1, 1)
    return fds[0] if fds else -1


class Recorder:
    """root_of: where the files that a process sees lie; prefix: what its paths begin with when we see them."""

    def __init__(self, loop: Loop, listener: int, root_of: Callable[[int], str], prefix: str, place: Path) -> None:
        self._root_of, self._prefix, self._place = root_of, prefix, place
        self._paths: dict[str, tuple[int, int]] = {}
        handlers = {syscalls.number("chown"): self._chown, syscalls.number("lchown"): self._lchown,
                    syscalls.number("fchown"): self._fchown, syscalls.number("fchownat"): self._fchownat}
        handlers.pop(None, None)  # a machine whose kernel has only the last of them
        self._kernel = Listener(loop, listener, handlers, lambda: None)

    def _chown(self, request: int, pid: int, args: list[int]) -> int:
        return self._record(pid, self._path(pid, _HERE, args[0]), args[1:3], follow=True)

    def _lchown(self, request: int, pid: int, args: list[int]) -> int:
        return self._record(pid, self._path(pid, _HERE, args[0]), args[1:3], follow=False)

    def _fchown(self, request: int, pid: int, args: list[int]) -> int:
        return self._record(pid, self._seen(os.readlink(f"/proc/{pid}/fd/{_int(args[0])}")), args[1:3], follow=False)

    def _fchownat(self, request: int, pid: int, args: list[int]) -> int:
        flags = _int(args[4])
        path = self._path(pid, _int(args[0]), args[1], empty=bool(flags & _EMPTY_PATH))
        return self._record(pid, path, args[2:4], follow=not flags & _NO_FOLLOW)

    def _path(self, pid: int, directory: int, address: int, *, empty: bool = False) -> str:
        raw = Listener.read(pid, address, 1) if empty else b"x"
        text = b"" if raw == b"\0" else _string(pid, address)
        path = os.fsdecode(text)
        if path.startswith("/"):
            return self._seen(path)
        base = os.readlink(f"/proc/{pid}/cwd" if directory == _HERE else f"/proc/{pid}/fd/{directory}")
        return f"{self._seen(base)}/{path}".rstrip("/")

    def _seen(self, path: str) -> str:
        """A path as the program sees it."""
        if self._prefix and (path == self._prefix or path.startswith(f"{self._prefix}/")):
            return path[len(self._prefix):] or "/"
        return path

    def _record(self, pid: int, path: str, wanted: list[int], *, follow: bool) -> int:
        root = self._root_of(pid)
        inside = inroot.follow(path, lambda step: inroot.readlink(f"{root}/{step}"), last=follow)
        place = f"{root}/{inside}"
        os.lstat(place)  # ENOENT is the program's
        before = note(place) or self._paths.get(inside, (-1, -1))
        given = [_int(each) for each in wanted]
        seen = [each in (0, ours) for each, ours in zip(given, (os.geteuid(), os.getegid()), strict=True)]
        if -1 not in given and seen[0] != seen[1]:  # busybox's chgrp gives the user that stat(2) has shown
            given = [-1 if same else each for each, same in zip(given, seen, strict=True)]
        elif -1 not in given and all(seen):
            given = [0, 0]
        uid, gid = (each if each >= 0 else old for each, old in zip(given, before, strict=True))
        try:
            if os.path.islink(place):
                raise OSError
            os.setxattr(place, NOTE, f"{uid}:{gid}".encode())
        except OSError:
            self._paths[inside] = (uid, gid)
            (self._place / LIST).write_text(json.dumps(self._paths))
            os.utime(place, ns=(os.lstat(place).st_atime_ns, os.lstat(place).st_mtime_ns), follow_symlinks=False)
        return 0


def note(place: str | Path) -> tuple[int, int] | None:
    """What was noted on a file."""
    try:
        uid, _, gid = os.getxattr(place, NOTE, follow_symlinks=False).decode().partition(":")
        return int(uid), int(gid)
    except (OSError, ValueError):
        return None


def _int(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def _string(pid: int, address: int) -> bytes:
    """Up to its end, page by page: the next one may not be there."""
    found = b""
    while len(found) < _LONGEST:
        piece = Listener.read(pid, address, 4096 - address % 4096)
        if not piece:
            break
        head, end, _ = piece.partition(b"\0")
        found += head
        if end:
            return found
        address += len(piece)
    raise ValueError("a path that has no end")


def attend(pid: int, listener: int, root_of: Callable[[int], str], prefix: str, place: Path) -> int:
    """Answer until a child has ended; its exit code, 128 + n for death by signal n."""
    if listener < 0:
        _, status = os.waitpid(pid, 0)
    else:
        loop, ended = Loop(), [0]
        Recorder(loop, listener, root_of, prefix, place)

        def look() -> None:
            while True:
                try:
                    found, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    return
                if found == 0:
                    return
                if found == pid:
                    ended[0] = status
                    loop.stop()

        loop.on_signal(signal.SIGCHLD, look)
        loop.later(0, look)  # it may have ended already
        loop.run()
        status = ended[0]
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
