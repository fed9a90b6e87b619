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
its memory meanwhile.  What NetworkPolicies deny (gate.py) is kept from programs that behave, not from somebody who
attacks this machine.

Source: man seccomp_unotify(2); linux/seccomp.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable

from kitlib.runtime.process import sockaddr, syscalls
from kitlib.runtime.process.gate import Gate
from kitlib.runtime.process.listener import SETFD, Listener
from kitlib.runtime.process.loop import Loop
from kitlib.runtime.process.sockaddr import PodAddress, Rewritten

_INT = 0xFFFFFFFF  # an int argument is the lower half of its register
_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
_IP_BIND_ADDRESS_NO_PORT = 24
_HELD, _KNOWN = 32, 4096
_MAX_DATAGRAM = 65536
_MSG_FASTOPEN = 0x20000000
_MSGHDR = 56
_MMSGHDR, _MAX_MESSAGES = 64, 1024  # sizeof(struct mmsghdr), UIO_MAXIOV


class Notifier:
    """One listener: a container, or an exec session in it."""

    def __init__(self, loop: Loop, listener: int, pod: PodAddress, hostname: str, kill: Callable[[int, int], int],
                 gate: Gate) -> None:
        self._pod, self._hostname, self._kill, self._gate = pod, hostname, kill, gate
        self._held: OrderedDict[int, int] = OrderedDict()  # inode -> our duplicate
        self._bound: OrderedDict[int, bytes] = OrderedDict()  # inode -> where a socket listens, if that was mapped
        self._kinds: OrderedDict[int, int] = OrderedDict()  # inode -> SOCK_STREAM or SOCK_DGRAM
        self._kernel = Listener(loop, listener, {
            syscalls.number("socket"): self._socket, syscalls.number("bind"): self._bind,
            syscalls.number("connect"): self._connect, syscalls.number("sendto"): self._sendto,
            syscalls.number("sendmsg"): self._sendmsg, syscalls.number("sendmmsg"): self._sendmmsg,
            syscalls.number("getsockname"): self._getsockname, syscalls.number("getpeername"): self._getpeername,
            syscalls.number("uname"): self._uname, syscalls.number("kill"): self._killed,
        }, self._let_go)  # fmt: skip
        self.close = self._kernel.close

    def _let_go(self) -> None:
        for fd in self._held.values():
            os.close(fd)
        self._held.clear()

    # The program's sockets.

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
            self._kernel.go_on(request)
            return None
        made = socket.socket(args[0] & _INT, kind, args[2] & _INT)
        if args[1] & socket.SOCK_NONBLOCK:
            made.setblocking(False)
        self._source(made.fileno(), sockaddr.make(made.family, self._pod.packed, 0))
        try:
            self._kernel.hand_over_new(request, made.fileno(), bool(args[1] & socket.SOCK_CLOEXEC))
        except OSError as error:
            made.close()
            if error.errno == errno.ENOENT:
                return None
            raise
        inode = os.fstat(made.fileno()).st_ino
        self._kinds[inode] = kind
        if len(self._kinds) > _KNOWN:
            self._kinds.popitem(last=False)
        self._held[inode] = made.detach()
        if len(self._held) > _HELD:
            os.close(self._held.popitem(last=False)[1])
        return None

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
        self._kernel.write(pid, address, rewritten)
        self._kernel.go_on(request)

    def _bind(self, request: int, pid: int, args: list[int]) -> int | None:
        decided = sockaddr.on_bind(self._kernel.read(pid, args[1], min(args[2] & _INT, 128)), self._pod)
        if decided.error:
            raise OSError(decided.error, "not an address of this Pod")
        if decided.sockaddr is None:
            self._kernel.go_on(request)
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
        raw = self._kernel.read(pid, args[1], min(args[2] & _INT, 128))
        decided = sockaddr.on_connect(raw, self._pod)
        decided = self._dropped(pid, args[0], decided.sockaddr or raw, socket.SOCK_STREAM) or decided
        if decided.sockaddr is None:
            self._leave(request, pid, args[0], raw, decided)
            self._kernel.go_on(request)
            return None
        ours = self._ours(pid, args[0])
        if ours is None:
            self._in_place(request, pid, args[1], decided.sockaddr)
            return None
        if self._kinds.get(self._inode(pid, args[0])) != socket.SOCK_DGRAM:  # UDP may connect again, elsewhere
            self._release(pid, args[0])
        return self._connect_ours(request, ours, decided.sockaddr)

    def _kind(self, pid: int, fd: int, otherwise: int) -> int:
        """SOCK_STREAM or SOCK_DGRAM, 0 for what is no inet socket; `otherwise` where it cannot be known any more."""
        ours = self._ours(pid, fd)
        if ours is None:
            return self._kinds.get(self._inode(pid, fd), otherwise)
        with socket.socket(fileno=ours) as known:
            return int(known.type) if known.family in (socket.AF_INET, socket.AF_INET6) else 0

    def _dropped(self, pid: int, fd: int, raw: bytes, otherwise: int) -> Rewritten | None:
        """Where a connection goes that no NetworkPolicy allows; None for all others.  raw: where it really leads."""
        if self._gate.is_open:
            return None
        kind = self._kind(pid, fd, otherwise)
        if not self._gate.drops(self._pod, kind, sockaddr.redirected(raw, self._pod)):
            return None
        return Rewritten(self._gate.nowhere.address(sockaddr.family(raw), kind))

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
            self._kernel.hand_over(request, fresh.fileno(), fd, SETFD, bool(flags & os.O_CLOEXEC))

    def _connect_ours(self, request: int, ours: int, address: bytes) -> int | None:
        """Begin to connect the program's socket.  If that takes time and the program wants to wait, its own call goes
        on: to the kernel that is one more wait on a socket which is connecting already, whatever address it names, and
        it ends as every connect does: by an answer, a time-out, a signal."""
        blocking = os.get_blocking(ours)
        try:
            os.set_blocking(ours, False)
            syscalls.connect(ours, address)
        except BlockingIOError:  # EINPROGRESS; EALREADY when a signal made the program ask again
            if not blocking:
                raise
            os.set_blocking(ours, True)
            self._kernel.go_on(request)
            return None
        finally:
            os.set_blocking(ours, blocking)
            os.close(ours)
        return 0

    def _sendto(self, request: int, pid: int, args: list[int]) -> int | None:
        raw = self._kernel.read(pid, args[4], min(args[5] & _INT, 128))
        decided = sockaddr.on_connect(raw, self._pod)
        if self._dropped(pid, args[0], decided.sockaddr or raw, socket.SOCK_DGRAM):
            if self._kind(pid, args[0], socket.SOCK_DGRAM) == socket.SOCK_DGRAM:
                return args[2]  # sent, and lost
            if args[3] & _MSG_FASTOPEN:
                raise OSError(errno.EOPNOTSUPP, "no TCP Fast Open: connect, then send")
        if decided.sockaddr is None:
            if decided.outside:
                self._leave(request, pid, args[0], raw, decided)
            self._kernel.go_on(request)
            return None
        ours = self._ours(pid, args[0])
        if ours is None or args[2] > _MAX_DATAGRAM:
            self._in_place(request, pid, args[4], decided.sockaddr)
            return None
        try:
            data = self._kernel.read(pid, args[1], args[2])
            return syscalls.sendto(ours, data, args[3] & _INT | socket.MSG_DONTWAIT, decided.sockaddr)
        finally:
            os.close(ours)

    def _sendmsg(self, request: int, pid: int, args: list[int], count: int = 1) -> int | None:
        """Addresses are changed where they are, since the rest of a message (ancillary data, many parts) is not ours.

        A struct msghdr begins with a pointer to the address and its length; a struct mmsghdr has a length behind it.
        """
        for number in range(min(count, _MAX_MESSAGES)):
            name, length = struct.unpack("=QI", self._kernel.read(pid, args[1] + number * _MMSGHDR, 12))
            if not name:
                continue
            raw = self._kernel.read(pid, name, min(length, 128))
            decided = sockaddr.on_connect(raw, self._pod)
            dropped = self._dropped(pid, args[0], decided.sockaddr or raw, socket.SOCK_DGRAM)
            if dropped and number == 0 and self._kind(pid, args[0], socket.SOCK_DGRAM) == socket.SOCK_DGRAM:
                return self._size(pid, args[1])  # sent, and lost
            decided = dropped or decided
            if decided.sockaddr is not None:
                self._kernel.write(pid, name, decided.sockaddr[:length])
            elif decided.outside:
                self._leave(request, pid, args[0], raw, decided)
        self._kernel.go_on(request)
        return None

    def _size(self, pid: int, header: int) -> int:
        """How many bytes a struct msghdr's parts have."""
        parts, count = struct.unpack("=QQ", self._kernel.read(pid, header + 16, 16))
        vector = self._kernel.read(pid, parts, 16 * min(count, _MAX_MESSAGES))
        return sum(length for _, length in struct.iter_unpack("=QQ", vector))

    def _sendmmsg(self, request: int, pid: int, args: list[int]) -> int | None:
        """Answered with the number of messages that are on their way; the program comes again with the others."""
        size = self._sendmsg(request, pid, args, args[2] & _INT)
        if size is None:
            return None
        self._kernel.write(pid, args[1] + _MSGHDR, struct.pack("=I", size))
        return 1

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
            self._kernel.go_on(request)
            return None
        room = struct.unpack("=I", self._kernel.read(pid, args[2], 4))[0]
        self._kernel.write(pid, args[1], address[:room])
        self._kernel.write(pid, args[2], struct.pack("=I", len(address)))
        return 0

    def _getpeername(self, request: int, pid: int, args: list[int]) -> int | None:
        return self._getsockname(request, pid, args, "getpeername")

    def _uname(self, request: int, pid: int, args: list[int]) -> int | None:
        host = os.uname()
        fields = (host.sysname, self._hostname, host.release, host.version, host.machine, "(none)")
        self._kernel.write(pid, args[0], b"".join(field.encode()[:64].ljust(65, b"\0") for field in fields))
        return 0

    def _killed(self, request: int, pid: int, args: list[int]) -> int | None:
        target = args[0] & _INT
        return self._kill(-1 if target == _INT else 1, args[1] & _INT)
