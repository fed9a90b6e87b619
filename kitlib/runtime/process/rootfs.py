"""A container's private root, where namespaces are allowed: what bubblewrap and runc do, in mount(2) calls.

    /            the container's own directory, writable, gone with it
    /usr /bin …  the host's, read-only, for images whose programs come from the host
    /proc        the container's own processes        /dev   seven harmless devices and a new devpts
    volumes      bind mounts                          /etc   hosts, resolv.conf, hostname, passwd of its own

Runs in the child between clone and exec.  An ordinary user is root of a user namespace here (one user only, see
filter.py); the real root takes no user namespace and gives up all but Docker's default capabilities.

Source: man mount_namespaces(7), user_namespaces(7), pivot_root(2); runc's rootfs_linux.go; bubblewrap.
"""

from __future__ import annotations

import _socket  # socket, without the half of the standard library that it imports
import os
from collections.abc import Mapping, Sequence
from typing import Any

from kitlib.runtime.process import overlay, syscalls
from kitlib.runtime.process.syscalls import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_REC, mount

HOST_DIRECTORIES = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
HOST_FILES = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/ssl", "/etc/localtime", "/etc/nsswitch.conf",
              "/etc/services", "/etc/protocols", "/etc/mime.types", "/etc/ca-certificates", "/etc/pki")  # fmt: skip
_DIRECTORIES = ("/tmp", "/etc", "/run", "/var/run", "/proc", "/dev", "/sys", "/root", "/home", "/usr")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot mknod audit_write
# setfcap
_DOCKER_CAPABILITIES = frozenset((0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31))


def populate(root: str, image: Mapping[str, Any], etc: Mapping[str, str], place: str) -> None:
    """The image's own files and /etc.  `place`: where the container sees its root, "" or, in the host view, `root`."""
    for directory in (*_DIRECTORIES, *image["directories"]):
        os.makedirs(root + directory, exist_ok=True)
    os.chmod(root + "/tmp", 0o1777)
    for path, text in {**image["files"], **etc}.items():
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        with open(root + path, "w") as file:
            file.write(text.replace("@ROOT@", place))
        if text.startswith("#!"):
            os.chmod(root + path, 0o755)
    for path, target in image["links"].items():
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        if not os.path.lexists(root + path):
            os.symlink(target, root + path)


def map_user(outside_user: int, outside_group: int, user: int, group: int) -> None:
    """In a new user namespace: be `user` inside."""
    maps = {"setgroups": "deny", "uid_map": f"{user} {outside_user} 1", "gid_map": f"{group} {outside_group} 1"}
    for name, text in maps.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def become(user: int, group: int) -> None:
    """In a user namespace that has another user: be `user` in one more below it."""
    outside = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    map_user(*outside, user, group)


def build(root: str, spec: Mapping[str, Any], *, user_namespace: bool = False) -> None:
    """Make `root` this process's root directory, complete with its mounts."""
    mount("", "/", "", MS_REC | MS_PRIVATE)
    if spec["layers"]:
        overlay.stack(os.path.dirname(root), spec["layers"], user=user_namespace)
        spec = overlay.furnish(root, spec)
    else:
        mount(root, root, "", MS_BIND | MS_REC)
    mounts = spec["mounts"]
    if spec["image"]["host_programs"]:
        own = [*spec["image"]["files"], *spec["image"]["links"], *(entry["container_path"] for entry in mounts)]
        _bind_host(root, own)
    if not spec["layers"]:
        populate(root, spec["image"], spec["etc"], "")
    bind_devices(root)
    bind_kernel(root)
    for entry in sorted(mounts, key=lambda entry: entry["container_path"].count("/")):
        bind(entry["host_path"], root + entry["container_path"], readonly=entry["readonly"])
    if spec["readonly_rootfs"]:
        flags = os.statvfs(root).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
        mount("", root, "", syscalls.MS_REMOUNT | MS_BIND | syscalls.MS_RDONLY | flags)
    _socket.sethostname(spec["hostname"])
    syscalls.pivot_root(root)


def bind(source: str, target: str, *, readonly: bool) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.lexists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(source, target, "", MS_BIND | MS_REC)
    if readonly:
        syscalls.make_readonly(target)


def _bind_host(root: str, own: Sequence[str]) -> None:
    for name in HOST_DIRECTORIES:
        path = "/" + name
        if os.path.islink(path):
            if not os.path.lexists(root + path):
                os.symlink(os.readlink(path), root + path)
        elif os.path.isdir(path):
            _bind_around(root, path, own)
    for path in HOST_FILES:
        if os.path.exists(path):
            bind(path, root + path, readonly=True)


def _bind_around(root: str, path: str, own: Sequence[str]) -> None:
    """Bind a host directory; where the container has something of its own below it, its neighbours one by one."""
    if not any(name.startswith(path + "/") for name in own):
        bind(path, root + path, readonly=True)
        return
    os.makedirs(root + path, exist_ok=True)
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.path in own:
                continue
            if entry.is_symlink():
                if not os.path.lexists(root + entry.path):
                    os.symlink(os.readlink(entry.path), root + entry.path)
            elif entry.is_dir():
                _bind_around(root, entry.path, own)
            elif entry.is_file():
                bind(entry.path, root + entry.path, readonly=True)


def bind_devices(root: str) -> None:
    mount("tmpfs", root + "/dev", "tmpfs", MS_NOSUID, "mode=755,size=64k")
    for name in _DEVICES:
        if os.path.exists("/dev/" + name):
            bind("/dev/" + name, f"{root}/dev/{name}", readonly=False)
    for directory in ("pts", "shm"):
        os.mkdir(f"{root}/dev/{directory}")
    mount("devpts", root + "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    mount("tmpfs", root + "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=64m")
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
             "stderr": "/proc/self/fd/2"}  # fmt: skip
    for name, target in links.items():
        os.symlink(target, f"{root}/dev/{name}")


def bind_kernel(root: str) -> None:
    try:
        mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except OSError:  # inside a container the kernel only lends the /proc that is there
        bind("/proc", root + "/proc", readonly=False)
    if os.path.isdir("/sys/class"):
        bind("/sys", root + "/sys", readonly=True)


def drop_capabilities() -> None:
    """Leave Docker's default set to whatever is executed next."""
    with open("/proc/sys/kernel/cap_last_cap") as file:
        last = int(file.read())
    for capability in range(last + 1):
        if capability not in _DOCKER_CAPABILITIES:
            try:
                syscalls.drop_capability(capability)
            except PermissionError:  # a root that may not even do this has none to give
                return
