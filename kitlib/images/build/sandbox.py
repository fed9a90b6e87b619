"""The process that becomes a RUN's program: layers mounted, namespaces of its own, the step's user.

    python -S -m kitlib.images.build.sandbox SPEC.json
       └─ clone(new mount, PID, UTS, IPC and, for an ordinary user, user namespace)
            └─ overlayfs ─▶ /proc /dev /sys ─▶ mounts of the step ─▶ pivot_root ─▶ user ─▶ exec

A process of its own, since only one without threads may be cloned; and the parent of the program, so that the whole
step ends with it.  Exit code: the program's, 128 + n for death by signal n, 127 if it cannot be found.

Source: man mount_namespaces(7), user_namespaces(7), overlayfs; runc's rootfs_linux.go.
"""

from __future__ import annotations

import _socket  # socket, without the half of the standard library that it imports
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from kitlib.runtime.process import rootfs, syscalls
from kitlib.runtime.process.syscalls import MS_NODEV, MS_NOSUID, MS_PRIVATE, MS_REC, mount

if TYPE_CHECKING:
    import socket

NOT_FOUND, NOT_EXECUTABLE, NO_SANDBOX = 127, 126, 125


def main(arguments: list[str]) -> int:
    with open(arguments[0]) as file:
        spec: dict[str, Any] = json.load(file)
    syscalls.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a build that is killed leaves nothing running
    outside = os.geteuid(), os.getegid()
    flags = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC
    flags |= 0 if outside[0] == 0 else syscalls.CLONE_NEWUSER
    flags |= 0 if spec["network"] else syscalls.CLONE_NEWNET
    if records(spec, outside):
        return _attended(spec, outside, flags)
    pid = syscalls.clone(flags)
    if pid == 0:
        _child(spec, outside, None)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _attended(spec: dict[str, Any], outside: tuple[int, int], flags: int) -> int:
    """The same, with somebody who answers when the program wants to give files away."""
    import socket
    from pathlib import Path

    from kitlib.images.build import chowning

    ours, its = socket.socketpair()
    pid = syscalls.clone(flags)
    if pid == 0:
        ours.close()
        _child(spec, outside, its)
    its.close()
    return chowning.attend(pid, chowning.receive(ours), lambda seen: f"/proc/{seen}/root", "", Path(spec["place"]))


def records(spec: dict[str, Any], outside: tuple[int, int]) -> bool:
    """Only what is root in the image may give files away; real root can."""
    return outside[0] != 0 and spec["user"][0] == 0


def _child(spec: dict[str, Any], outside: tuple[int, int], channel: socket.socket | None) -> NoReturn:
    code = NO_SANDBOX
    try:
        syscalls.prctl(1, signal.SIGKILL)
        _build(spec, outside)
        code = _execute(spec, outside, channel)
    except OSError as error:
        print(f"sandbox: {error.strerror or error} {error.filename or ''}".rstrip(), file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def _build(spec: dict[str, Any], outside: tuple[int, int]) -> None:
    """The program's root directory.  The layers' names are short links, since mount(2) takes only a page of options."""
    if outside[0] != 0:
        rootfs.map_user(*outside, *spec["user"])
    if not spec["network"]:
        from kitlib.runtime.byhand.net import loopback_up

        loopback_up()
    mount("", "/", "", MS_REC | MS_PRIVATE)
    os.chdir(spec["place"])
    options = f"lowerdir={':'.join(spec['lowers'])},upperdir=upper,workdir=work"
    root = os.path.join(spec["place"], "root")
    mount("overlay", root, "overlay", 0, options + ("" if outside[0] == 0 else ",userxattr"))
    for directory in ("proc", "sys", "dev", "etc"):
        os.makedirs(f"{root}/{directory}", exist_ok=True)
    rootfs.bind_devices(root)
    rootfs.bind_kernel(root)
    for target, source, readonly, options in spec["binds"]:
        place = root + target
        if source is None:
            os.makedirs(place, exist_ok=True)
            mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, options)
        else:
            rootfs.bind(source, place, readonly=readonly)
    _socket.sethostname("buildkitsandbox")
    syscalls.pivot_root(root)


def _execute(spec: dict[str, Any], outside: tuple[int, int], channel: socket.socket | None) -> int:
    env, argv = spec["env"], spec["argv"]
    os.makedirs(spec["cwd"], exist_ok=True)
    os.chdir(spec["cwd"])
    user, group = spec["user"]
    if outside[0] == 0:
        rootfs.drop_capabilities()
        os.setgroups(spec["groups"])
        os.setgid(group)
        os.setuid(user)
    os.umask(0o022)
    if channel is not None:
        from kitlib.images.build import chowning

        chowning.send(channel, chowning.install())
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(argv[0], argv, env)
    except FileNotFoundError:
        print(f'exec: "{argv[0]}": executable file not found in $PATH', file=sys.stderr, flush=True)
        return NOT_FOUND
    except OSError as error:
        print(f'exec: "{argv[0]}": {(error.strerror or str(error)).lower()}', file=sys.stderr, flush=True)
        return NOT_EXECUTABLE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
