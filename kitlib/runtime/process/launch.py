"""From clone to exec: what happens in a new process before it is the container's program.  runc's role.

    daemon                         child
    launch() ── clone(namespaces) ─▶ session, root file system (rootfs.py or hostview.py), user, capabilities
             ◀── listener ────────── seccomp filter (filter.py)
             ◀── an error, or ────── exec
             ◀── end of file         (the channel closes on exec: the program runs)

For an exec session the child first joins the container's namespaces; entering a PID namespace takes one more clone.

Source: runc's libcontainer/standard_init_linux.go and setns_init_linux.go.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import stat
import termios
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

from kitlib.runtime.process import filter as seccomp
from kitlib.runtime.process import hostview, processes, prootview, resolver, rootfs, syscalls
from kitlib.runtime.process.isolation import Isolation

_FLAGS = {"user": syscalls.CLONE_NEWUSER, "ipc": syscalls.CLONE_NEWIPC, "uts": syscalls.CLONE_NEWUTS,
          "pid": syscalls.CLONE_NEWPID, "mnt": syscalls.CLONE_NEWNS}  # fmt: skip


class Job(NamedTuple):
    """What to start.

    `join`: the pid of a container's first process whose namespaces to enter (an exec session; 0: a new container).
    `shared`: the Pod's namespaces, by name, as descriptors (podspace.py); those not in it are made.
    """

    spec: Mapping[str, Any]
    root: str
    isolation: Isolation
    argv: tuple[str, ...]
    stdin: int
    stdout: int
    stderr: int
    tty: bool = False
    join: int = 0
    shared: Mapping[str, int] = MappingProxyType({})
    told: int = -1  # where the end of a program that proot traces is to be told; see prootview.py


def launch(job: Job) -> tuple[int, socket.socket]:
    """Start the child.  Returns its pid and the channel on which it reports; see `_report`."""
    ours, near = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near:  # its other end must not be in the way of the program's own descriptors
        theirs = socket.socket(fileno=fcntl.fcntl(near, fcntl.F_DUPFD_CLOEXEC, 10))
    outside = os.geteuid(), os.getegid()  # a child in a user namespace of its own is nobody (65534) to itself
    pid = syscalls.clone(0 if job.join or _moves(job) else _new_namespaces(job))
    if pid == 0:
        _child(job, outside, theirs)
    theirs.close()
    ours.setblocking(False)
    return pid, ours


def _moves(job: Job) -> bool:
    """Whether the program's process has to be another one than the first child: the first only enters namespaces."""
    return "pid" in job.shared or "user" in job.shared


def _new_namespaces(job: Job) -> int:
    """The flags for what a new container does not share."""
    if not job.isolation.namespaces:
        return 0
    own = [name for name in _FLAGS if name not in job.shared]
    if job.spec["pid_mode"] == "NODE" and "pid" in own:
        own.remove("pid")
    if not job.isolation.user_namespace and "user" in own:
        own.remove("user")
    return sum(_FLAGS[name] for name in own)


def _child(job: Job, outside: tuple[int, int], channel: socket.socket) -> NoReturn:
    try:
        _become(job, outside, channel)
    except OSError as error:
        _report(channel, error=error.strerror or str(error))
    except ValueError as error:  # a zero byte in an argument, a name that cannot be encoded
        _report(channel, error=str(error))
    finally:
        os._exit(128)


def _report(channel: socket.socket, fds: tuple[int, ...] = (), **message: Any) -> None:
    seccomp.send_past(channel, json.dumps(message).encode(), fds)


def _become(job: Job, outside: tuple[int, int], channel: socket.socket) -> None:
    """outside: the daemon's user and group, whom a user namespace maps to the container's."""
    spec, isolation = job.spec, job.isolation
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    if job.join:
        _join(job, channel)
    elif job.shared:
        _enter_pod(job, channel)
    _redirect(job, channel)
    env: dict[str, str] = dict(spec["env"])
    if job.tty:
        env.setdefault("TERM", "xterm")
    argv, cwd = list(job.argv), spec["cwd"]
    if isolation.namespaces:
        user, group = spec["user"] or 0, spec["group"] or 0
        if not job.join:
            if isolation.user_namespace and "user" not in job.shared:
                rootfs.map_user(*outside, user, group)
            rootfs.build(job.root, spec, user_namespace=isolation.user_namespace)
        if isolation.user_namespace and (os.geteuid(), os.getegid()) != (user, group) and (
                not job.join or spec.get("other_user")):
            rootfs.become(user, group)
    elif isolation.proot:
        view = prootview.ProotView(job.root, spec)
        if not job.join:
            view.prepare()
        view.working_directory(cwd)
        env[processes.MARK] = spec["mark"]
        env |= prootview.environment(os.path.dirname(job.root))
        found = view.find(argv[0], env.get("PATH", ""), cwd)
        argv, cwd = view.command(isolation.proot, found, argv, cwd), "/"
    else:
        if not job.join:
            hostview.prepare(job.root, spec)
        rewrite = hostview.rewriter(job.root, spec)
        argv = hostview.arguments(argv, job.root, rewrite)
        env = {**resolver.environment(spec.get("dns") or {}), **hostview.environment(job.root, env, rewrite)}
        env[processes.MARK] = spec["mark"]
        cwd = hostview.working_directory(job.root, cwd)
    _enter(cwd, create=not (isolation.namespaces and spec["readonly_rootfs"]))
    if not isolation.user_namespace:
        _identity(spec, outside[0])
    if not job.join:  # a container ends with the daemon; an exec's parent ends at once, by design
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.clear()
    program = _find(argv[0], env.get("PATH", ""))
    if isolation.notifications:
        listener = seccomp.install(_wanted(spec, isolation))
        _report(channel, (listener,))
        os.close(listener)
    try:
        os.execve(program, argv, env)
    except OSError as error:
        raise _problem(argv[0], error) from error


def _wanted(spec: Mapping[str, Any], isolation: Isolation) -> seccomp.Wanted:
    own = not spec["host_network"]
    return seccomp.Wanted(addresses=own, mapped_ports=own and isolation.port_start > 1,
                          hostname=not isolation.namespaces, pids=not isolation.namespaces,
                          single_user=isolation.user_namespace or not (isolation.namespaces or isolation.proot))


def _enter_pod(job: Job, channel: socket.socket) -> None:
    """Enter what the Pod's containers share.  The daemon stays the parent of the process that goes on."""
    for name in ("user", "ipc", "uts", "pid"):
        if name in job.shared:
            syscalls.setns(job.shared[name])
    if _moves(job):
        syscalls.unshare(_new_namespaces(job))
        child = syscalls.clone_sibling()
        if child:
            _report(channel, pid=child)
            os._exit(0)
        os.setsid()


def _join(job: Job, channel: socket.socket) -> None:
    """Enter a container; the process that goes on is a child of the one that entered."""
    if not job.isolation.namespaces:
        return
    own = {name: os.open(f"/proc/{job.join}/ns/{name}", os.O_RDONLY) for name in _FLAGS}
    if not job.isolation.user_namespace:
        del own["user"]
    elif "user" in job.shared and not os.path.sameopenfile(own["user"], job.shared["user"]):
        syscalls.setns(job.shared["user"])  # the container's own user namespace lies in the Pod's: its way in and
        own["user"] = own.pop("user")  # the last to be entered, since the others are the Pod's
    for fd in own.values():
        syscalls.setns(fd)
        os.close(fd)
    child = syscalls.clone()
    if child:
        _report(channel, pid=child)
        os._exit(0)
    os.setsid()


def _redirect(job: Job, channel: socket.socket) -> None:
    """Standard input and output, and no other descriptor of the daemon's."""
    given = (job.stdin, job.stdout, job.stderr, job.told)
    wanted = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in given if fd >= 0]
    for target, fd in enumerate(wanted):
        os.dup2(fd, target)
    syscalls.close_from(len(wanted), (channel.fileno(),))
    if job.tty:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _enter(cwd: str, *, create: bool) -> None:
    if create:
        os.makedirs(cwd, exist_ok=True)
    try:
        os.chdir(cwd)
    except OSError as error:
        why = f"chdir to cwd ({json.dumps(cwd)}) set in config.json failed: {_lower(error)}"
        raise OSError(error.errno, why) from error


def _identity(spec: Mapping[str, Any], outside: int) -> None:
    """The container's user, where this process may choose one, and no more capabilities than in Docker."""
    if outside != 0:
        return
    user, group = spec["user"] or 0, spec["group"] or 0
    for fd in (0, 1, 2):  # /dev/stdout is opened by name, so it must belong to the container's user
        mode = os.fstat(fd).st_mode
        if user and (stat.S_ISFIFO(mode) or os.isatty(fd)):
            os.fchown(fd, user, group)
    rootfs.drop_capabilities()
    if user or group:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)


def _lower(error: OSError) -> str:
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def _problem(name: str, error: OSError) -> OSError:
    return OSError(error.errno, f"exec: {json.dumps(name)}: {_lower(error)}")


def _find(name: str, path: str) -> str:
    """The program's file; the sentences are runc's, for kubectl shows them."""
    if "/" in name:
        try:
            mode = os.stat(name).st_mode
        except OSError as error:
            raise OSError(error.errno, f"exec: {json.dumps(name)}: stat {name}: {_lower(error)}") from error
        if stat.S_ISDIR(mode):
            raise _problem(name, IsADirectoryError(errno.EISDIR, "is a directory"))
        if not os.access(name, os.X_OK):
            raise _problem(name, PermissionError(errno.EACCES, "permission denied"))
        return name
    for directory in path.split(":"):
        candidate = os.path.join(directory or ".", name)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    raise FileNotFoundError(errno.ENOENT, f"exec: {json.dumps(name)}: executable file not found in $PATH")
