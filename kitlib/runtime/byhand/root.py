"""Files of its own: a root directory is made, and then moved into, in two ways of which one is a prison.

    chroot(2)        "begin paths here".  The old root is still mounted; who is root inside walks out (see walk_out).
    pivot_root(2)    the new root takes the old one's place, and the old one is let go: nothing is left to walk to.

The new root is a tmpfs with directories, a few files, and the machine's programs bound into it read-only.  Containers
of an engine have an image there (chapter 3).

Source: pivot_root(2), chroot(2), mount_namespaces(7).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from kitlib.runtime.process import rootfs, syscalls
from kitlib.runtime.process.syscalls import MS_NODEV, MS_NOEXEC, MS_NOSUID, mount

# Where a new root is put together: some directory that is there; only the box sees what is mounted on it.
PLACE = next(path for path in ("/mnt", "/media", "/srv", "/tmp") if os.path.isdir(path))
DIRECTORIES = ("etc", "tmp", "proc", "dev", "root")


def mount_proc() -> None:
    """A new /proc: it shows the process numbers of whoever mounts it, and `ps` only reads /proc."""
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)


def new_root(place: str, files: Mapping[str, str]) -> None:
    """Make a root directory at `place`, in memory.  files: path → text."""
    mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=16m")
    for name in DIRECTORIES:
        os.mkdir(f"{place}/{name}")
    for path, text in files.items():
        target = place + os.path.normpath("/" + path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w") as file:
            file.write(text)
    for name in rootfs.HOST_DIRECTORIES:
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{place}/{name}")
        elif os.path.isdir(f"/{name}"):
            rootfs.bind(f"/{name}", f"{place}/{name}", readonly=True)
    rootfs.bind("/dev/null", f"{place}/dev/null", readonly=False)
    rootfs.bind("/proc", f"{place}/proc", readonly=False)  # whichever it is: the machine's, or our own


def chroot(place: str) -> None:
    os.chroot(place)
    os.chdir("/")


def pivot_root(place: str) -> None:
    """Change places with the old root, and let go of it: the code is in syscalls.pivot_root, four lines."""
    syscalls.pivot_root(place)


def walk_out() -> None:
    """What root does in a chroot: chroot once more, into a directory that one is not in, and walk up."""
    with contextlib.suppress(FileExistsError):
        os.mkdir("/tmp/ladder")
    os.chroot("/tmp/ladder")  # the root is below the working directory now: nothing stops `..` at it any more
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")


def break_out() -> list[str]:
    """Walk out in a child, so that nobody stays outside, and come back with `ls /`."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            walk_out()
            os.write(write, "\n".join(sorted(os.listdir("/"))).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answers:
        seen = answers.read().split()
    os.waitpid(child, 0)
    return seen
