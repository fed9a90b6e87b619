"""Answers the system calls that a container's filter stopped (filter.py), so that each Pod has its own address.

    program: bind(3, 0.0.0.0:80) ──▶ kernel: wait ──▶ listener readable
                                                        │ which socket is 3?  /proc/PID/fd/3 → socket:[4711] → ours
    program: bind returned 0     ◀── kernel ◀────────── │ bind(4711, 127.80.16.5:80), answer 0

The trick that needs no privilege: the *runtime* makes every inet socket of a container (SECCOMP_IOCTL_NOTIF_ADDFD
puts it into the program), keeps a duplicate until the socket is bound or connected, and can so bind or connect the
very same socket, with all options the program has set on it.  Binding it to the Pod's address without a port
(IP_BIND_ADDRESS_NO_PORT) at birth makes every connection carry the Pod's source address.

When no duplicate is there any more, pidfd_getfd fetches one; where that is refused (Docker's default profile) the
address in the program's memory is changed and the call goes on.  This is no security boundary: a program could change
its memory meanwhile.  It decides who one *is*, not what one may do.

Source: man seccomp_unotify(2); linux/seccomp.h.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable

from kitlib.runtime.process import sockaddr, syscalls
from kitlib.runtime.process.loop import Loop
from kitlib.runtime.process.sockaddr import PodAddress, Rewritten

_RECV, _SEND, _ADDFD = 0xC0502100, 0xC0182101, 0x40182103
_CONTINUE, _ADDFD_SETFD, _ADDFD_SEND = 1, 1, 2
_REQUEST = struct.Struct("=QIIiIQ6Q")  # id, pid, flags, nr, arch, instruction pointer, args
_INT = 0xFFFFFFFF  # an int argument is the lower half of its register
_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
_IP_BIND_ADDRESS_NO_PORT = 24
_HELD = 32
_OUR_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_MAX_DATAGRAM = 65536


class Notifier:
    """One listener: a container, or an exec session in it."""

    def __init__(self, loop: Loop, listener: int, pod: PodAddress, hostname: str,
                 kill: Callable[[int, int], int]) -> None:
        self._loop, self._listener, self._pod, self._hostname, self._kill = loop, listener, pod, hostname, kill
        self._held: OrderedDict[int, int] = OrderedDict()  # inode -> our duplicate
        self._bound: OrderedDict[int, bytes] = OrderedDict()  # inode -> where a socket listens, if that was mapped
        self._handlers = {
            syscalls.number("socket"): self._socket, syscalls.number("bind"): self._bind,
            syscalls.number("connect"): self._connect, syscalls.number("sendto"): self._sendto,
            syscalls.number("getsockname"): self._getsockname, syscalls.number("getpeername"): self._getpeername,
            syscalls.number("uname"): self._uname, syscalls.number("kill"): self._killed,
        }  # fmt: skip
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)
        loop.reader(listener, self._on_readable)

    def close(self) -> None:
        """The program is gone (or must not ask any more: its calls then fail with ENOSYS)."""
        if self._listener >= 0:
            self._loop.forget(self._listener)
            os.close(self._listener)
            self._listener = -1
            for fd in self._held.values():
                os.close(fd)
            self._held.clear()

    # The conversation with the kernel.

    def _on_readable(self) -> None:
        for _ in range(16):  # fair to the daemon's other descriptors
            ready = self._poll.poll(0)
            if not ready:
                return
            if not ready[0][1] & select.POLLIN:  # POLLHUP: nobody is left who has this filter
                self.close()
                return
            buffer = bytearray(_REQUEST.size)
            try:
                fcntl.ioctl(self._listener, _RECV, buffer)
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
            fcntl.ioctl(self._listener, _SEND, struct.pack("=QqiI", request, value, -error, flags))
        except OSError as problem:
            if problem.errno != errno.ENOENT:  # ENOENT: killed while it waited
                raise

    def _go_on(self, request: int) -> None:
        self._send(request, flags=_CONTINUE)

    # The program's memory and sockets.

    @staticmethod
    def _read(pid: int, address: int, length: int) -> bytes:
        memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(memory, length, address)
        finally:
            os.close(memory)

    @staticmethod
    def _write(pid: int, address: int, data: bytes) -> None:
        memory = os.open(f"/proc/{pid}/mem", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(memory, data, address)
        finally:
            os.close(memory)

    @staticmethod
    def _inode(pid: int, fd: int) -> int:
        try:
            link = os.readlink(f"/proc/{pid}/fd/{fd & _INT}")
        except OSError as error:
            raise OSError(errno.EBADF, "bad file descriptor") from error
        return int(link[8:-1]) if link.startswith("socket:[") else 0

    def _ours(self, pid: int, fd: int) -> int | None:
        """A descriptor of our own for the program's socket, to be closed by the caller; None where there is no way."""
        held = self._held.get(self._inode(pid, fd))
        if held is not None:
            return os.dup(held)
        try:
            with open(f"/proc/{pid}/status") as status:
                process = next(int(line.split()[1]) for line in status if line.startswith("Tgid:"))
            return syscalls.pidfd_getfd(process, fd & _INT)
        except OSError:
            return None

    def _release(self, pid: int, fd: int) -> None:
        held = self._held.pop(self._inode(pid, fd), None)
        if held is not None:
            os.close(held)

    # One method per system call: a value to answer with, None if it has been answered.

    def _socket(self, request: int, pid: int, args: list[int]) -> int | None:
        kind = args[1] & 0xF
        if kind not in _KINDS:
            self._go_on(request)
            return None
        made = socket.socket(args[0] & _INT, kind, args[2] & _INT)
        if args[1] & socket.SOCK_NONBLOCK:
            made.setblocking(False)
        self._source(made.fileno(), sockaddr.make(made.family, self._pod.packed, 0))
        try:
            self._hand_over_new(request, made.fileno(), bool(args[1] & socket.SOCK_CLOEXEC))
        except OSError as error:
            made.close()
            if error.errno == errno.ENOENT:
                return None
            raise
        inode = os.fstat(made.fileno()).st_ino
        self._held[inode] = made.detach()
        if len(self._held) > _HELD:
            os.close(self._held.popitem(last=False)[1])
        return None

    def _hand_over_new(self, request: int, fd: int, close_on_exec: bool) -> None:
        """A new descriptor as the call's answer."""
        try:
            self._hand_over(request, fd, 0, _ADDFD_SEND, close_on_exec)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._send(request, self._hand_over(request, fd, 0, 0, close_on_exec))  # before Linux 5.14: two steps

    def _hand_over(self, request: int, fd: int, number: int, flags: int, close_on_exec: bool) -> int:
        """Put a descriptor into the program: as `number` (SETFD), or wherever there is room, as the answer (SEND).

        With signals blocked: if one interrupts this ioctl at the wrong moment, the kernel (seen with 6.18) has marked
        the request as answered but adds no descriptor, and the program's socket() returns 0.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _OUR_SIGNALS)
        try:
            its_flags = os.O_CLOEXEC if close_on_exec else 0
            given = bytearray(struct.pack("=QIIII", request, flags, fd, number, its_flags))
            return fcntl.ioctl(self._listener, _ADDFD, given)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @staticmethod
    def _source(fd: int, address: bytes) -> None:
        """Set a socket's source address without taking a port; an IPv6-only socket has none of ours."""
        probe = socket.socket(fileno=fd)
        try:
            probe.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            try:
                syscalls.bind(fd, address)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EADDRNOTAVAIL):
                    raise
            probe.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 0)
        finally:
            probe.detach()

    def _in_place(self, request: int, pid: int, address: int, rewritten: bytes) -> None:
        self._write(pid, address, rewritten)
        self._go_on(request)

    def _bind(self, request: int, pid: int, args: list[int]) -> int | None:
        decided = sockaddr.on_bind(self._read(pid, args[1], min(args[2] & _INT, 128)), self._pod)
        if decided.error:
            raise OSError(decided.error, "not an address of this Pod")
        if decided.sockaddr is None:
            self._go_on(request)
            return None
        ours = self._ours(pid, args[0])
        if ours is None:
            self._in_place(request, pid, args[1], decided.sockaddr)
            return None
        try:
            self._bind_ours(ours, decided.sockaddr)
            if self._pod.port_start > 1:
                self._remember(self._inode(pid, args[0]), sockaddr.as_asked_for(decided.sockaddr, self._pod))
            if decided.sockaddr[2:4] != b"\0\0":  # on any port it is a client's, which may want to go outside
                self._release(pid, args[0])
        finally:
            os.close(ours)
        return 0

    def _remember(self, inode: int, address: bytes) -> None:
        """For getsockname, where no duplicate can be had any more."""
        self._bound[inode] = address
        if len(self._bound) > _HELD:
            self._bound.popitem(last=False)

    @staticmethod
    def _bind_ours(fd: int, address: bytes) -> None:
        if sockaddr.family(address) == socket.AF_INET6:
            probe = socket.socket(fileno=os.dup(fd))
            with probe:
                if probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
                    # A Pod has no IPv6 address: an IPv6-only server may wait where nobody calls.
                    try:
                        probe.bind(("::1", 0))
                    except OSError:  # nor has this machine
                        probe.bind(("::", 0))
                    return
        syscalls.bind(fd, address)

    def _connect(self, request: int, pid: int, args: list[int]) -> int | None:
        raw = self._read(pid, args[1], min(args[2] & _INT, 128))
        decided = sockaddr.on_connect(raw, self._pod)
        if decided.sockaddr is None:
            self._leave(request, pid, args[0], raw, decided)
            self._go_on(request)
            return None
        ours = self._ours(pid, args[0])
        if ours is None:
            self._in_place(request, pid, args[1], decided.sockaddr)
            return None
        self._release(pid, args[0])
        return self._connect_ours(request, ours, decided.sockaddr)

    def _leave(self, request: int, pid: int, fd: int, raw: bytes, decided: Rewritten) -> None:
        """A call that goes on as it is; towards the outside the socket must not speak as 127.x."""
        ours = self._ours(pid, fd) if decided.outside else None
        if ours is not None:
            with socket.socket(fileno=ours) as known:
                if syscalls.socket_address(ours)[2:4] == b"\0\0":
                    self._source(ours, sockaddr.any_address(known.family))
                elif known.type == socket.SOCK_DGRAM:
                    self._replace(request, pid, fd, known)
        if sockaddr.family(raw) in (socket.AF_INET, socket.AF_INET6):
            self._release(pid, fd)

    def _replace(self, request: int, pid: int, fd: int, bound: socket.socket) -> None:
        """A resolver binds to any port of 0.0.0.0 before it dials; that is 127.x here, so it gets a fresh socket."""
        with open(f"/proc/{pid}/fdinfo/{fd & _INT}") as info:
            flags = next(int(line.split()[1], 8) for line in info if line.startswith("flags:"))
        with socket.socket(bound.family, socket.SOCK_DGRAM) as fresh:
            os.set_blocking(fresh.fileno(), os.get_blocking(bound.fileno()))
            self._release(pid, fd)
            self._hand_over(request, fresh.fileno(), fd, _ADDFD_SETFD, bool(flags & os.O_CLOEXEC))

    def _connect_ours(self, request: int, ours: int, address: bytes) -> int | None:
        """Connect on the program's behalf; if its socket blocks, answer when it is done."""
        blocking = os.get_blocking(ours)
        waiting = False
        os.set_blocking(ours, False)
        try:
            syscalls.connect(ours, address)
        except BlockingIOError:
            waiting = blocking
            if not blocking:
                raise
        finally:
            if not waiting:
                os.set_blocking(ours, blocking)
                os.close(ours)
        if not waiting:
            return 0

        def done() -> None:
            self._loop.forget(ours)
            with socket.socket(fileno=ours) as finished:
                error = finished.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                os.set_blocking(ours, True)
            if self._listener >= 0:
                self._send(request, error=error)

        self._loop.writer(ours, done)
        return None

    def _sendto(self, request: int, pid: int, args: list[int]) -> int | None:
        raw = self._read(pid, args[4], min(args[5] & _INT, 128))
        decided = sockaddr.on_connect(raw, self._pod)
        if decided.sockaddr is None:
            if decided.outside:
                self._leave(request, pid, args[0], raw, decided)
            self._go_on(request)
            return None
        ours = self._ours(pid, args[0])
        if ours is None or args[2] > _MAX_DATAGRAM:
            self._in_place(request, pid, args[4], decided.sockaddr)
            return None
        try:
            data = self._read(pid, args[1], args[2])
            return syscalls.sendto(ours, data, args[3] & _INT | socket.MSG_DONTWAIT, decided.sockaddr)
        finally:
            os.close(ours)

    def _getsockname(self, request: int, pid: int, args: list[int], call: str = "getsockname") -> int | None:
        ours = self._ours(pid, args[0])
        if ours is not None:
            try:
                address = sockaddr.as_asked_for(syscalls.socket_address(ours, call), self._pod)
            finally:
                os.close(ours)
        else:
            address = self._bound.get(self._inode(pid, args[0]), b"") if call == "getsockname" else b""
        if not address:
            self._go_on(request)
            return None
        room = struct.unpack("=I", self._read(pid, args[2], 4))[0]
        self._write(pid, args[1], address[:room])
        self._write(pid, args[2], struct.pack("=I", len(address)))
        return 0

    def _getpeername(self, request: int, pid: int, args: list[int]) -> int | None:
        return self._getsockname(request, pid, args, "getpeername")

    def _uname(self, request: int, pid: int, args: list[int]) -> int | None:
        host = os.uname()
        fields = (host.sysname, self._hostname, host.release, host.version, host.machine, "(none)")
        self._write(pid, args[0], b"".join(field.encode()[:64].ljust(65, b"\0") for field in fields))
        return 0

    def _killed(self, request: int, pid: int, args: list[int]) -> int | None:
        target = args[0] & _INT
        return self._kill(-1 if target == _INT else 1, args[1] & _INT)
