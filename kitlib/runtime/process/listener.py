"""The conversation with the kernel about stopped system calls: read a request, look into the program, answer.

    kernel ──RECV──▶ handlers[number](request, pid, args) ──▶ a value, or an OSError   ──SEND──▶ kernel
                                                         └──▶ None: it has answered itself (go_on, hand_over_new)

What the answers are is notifier.py's business.

Source: man seccomp_unotify(2); linux/seccomp.h.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import struct
from collections.abc import Callable, Mapping

from kitlib.runtime.process.loop import Loop

Handler = Callable[[int, int, "list[int]"], "int | None"]

_RECV, _SEND, _ADDFD = 0xC0502100, 0xC0182101, 0x40182103
_CONTINUE, SETFD, _ADDFD_SEND = 1, 1, 2
_REQUEST = struct.Struct("=QIIiIQ6Q")  # id, pid, flags, nr, arch, instruction pointer, args
_OUR_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Listener:
    """A filter's listener.  handlers: by system call number.  on_close: nobody is left who has this filter."""

    def __init__(self, loop: Loop, fd: int, handlers: Mapping[int | None, Handler],
                 on_close: Callable[[], None]) -> None:
        self._loop, self._fd, self._handlers, self._on_close = loop, fd, handlers, on_close
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        loop.reader(fd, self._on_readable)

    def close(self) -> None:
        """The program is gone (or must not ask any more: its calls then fail with ENOSYS)."""
        if self._fd >= 0:
            self._loop.forget(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._on_close()

    def _on_readable(self) -> None:
        for _ in range(16):  # fair to the daemon's other descriptors
            ready = self._poll.poll(0)
            if not ready:
                return
            if not ready[0][1] & select.POLLIN:  # POLLHUP
                self.close()
                return
            buffer = bytearray(_REQUEST.size)
            try:
                fcntl.ioctl(self._fd, _RECV, buffer)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR):  # it was killed before we could read
                    continue
                raise
            request, pid, _, call, _, _, *args = _REQUEST.unpack(buffer)
            self._answer(request, pid, call, args)

    def _answer(self, request: int, pid: int, call: int, args: list[int]) -> None:
        try:
            value = self._handlers[call](request, pid, args)
        except OSError as error:
            self._send(request, error=error.errno or errno.EIO)
            return
        except (ValueError, OverflowError, struct.error):  # arguments that make no sense
            self._send(request, error=errno.EINVAL)
            return
        if value is not None:
            self._send(request, value)

    def _send(self, request: int, value: int = 0, error: int = 0, flags: int = 0) -> None:
        try:
            fcntl.ioctl(self._fd, _SEND, struct.pack("=QqiI", request, value, -error, flags))
        except OSError as problem:
            if problem.errno != errno.ENOENT:  # ENOENT: killed while it waited
                raise

    def go_on(self, request: int) -> None:
        """Let the program's own call happen."""
        self._send(request, flags=_CONTINUE)

    @staticmethod
    def read(pid: int, address: int, length: int) -> bytes:
        memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(memory, length, address)
        finally:
            os.close(memory)

    @staticmethod
    def write(pid: int, address: int, data: bytes) -> None:
        memory = os.open(f"/proc/{pid}/mem", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(memory, data, address)
        finally:
            os.close(memory)

    def hand_over_new(self, request: int, fd: int, close_on_exec: bool) -> None:
        """A new descriptor as the call's answer."""
        try:
            self.hand_over(request, fd, 0, _ADDFD_SEND, close_on_exec)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._send(request, self.hand_over(request, fd, 0, 0, close_on_exec))  # before Linux 5.14: two steps

    def hand_over(self, request: int, fd: int, number: int, flags: int, close_on_exec: bool) -> int:
        """Put a descriptor into the program: as `number` (SETFD), or wherever there is room, as the answer (SEND).

        With signals blocked: if one interrupts this ioctl at the wrong moment, the kernel (seen with 6.18) has marked
        the request as answered but adds no descriptor, and the program's socket() returns 0.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _OUR_SIGNALS)
        try:
            its_flags = os.O_CLOEXEC if close_on_exec else 0
            given = bytearray(struct.pack("=QIIII", request, flags, fd, number, its_flags))
            return fcntl.ioctl(self._fd, _ADDFD, given)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
