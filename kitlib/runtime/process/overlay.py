"""An image's layers as a container's root: overlayfs, and paths that stay inside although the image has links.

    lowerdir=layer3:layer2:layer1     read-only, shared by all containers of the image
    upperdir=…/upper                  what this container changes
    merged at …/root

An image is not ours: `/etc` in it may be a link to `/etc`, and that is the host's until the container has its root.
`inside` follows links as the container will.

Source: the kernel's filesystems/overlayfs.rst (userxattr: for user namespaces, since Linux 5.11); filepath-securejoin.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from typing import Any

from kitlib.runtime.process import syscalls

_LINKS = 40
_DIRECTORIES = ("/proc", "/dev", "/sys", "/etc")


def stack(directory: str, layers: Sequence[str], *, user: bool = False) -> str:
    """Put a root together under `directory`.  layers: the lowest first.  user: in a user namespace.  Returns the root.

    The kernel takes one page of options, so the layers are named relative to where they lie.
    """
    for name in ("upper", "work", "root"):
        os.makedirs(f"{directory}/{name}", exist_ok=True)
    common = os.path.commonpath([os.path.dirname(layer) for layer in layers])
    lower = ":".join(os.path.relpath(layer, common) for layer in reversed(layers))
    options = f"lowerdir={lower},upperdir={directory}/upper,workdir={directory}/work{',userxattr' * user}"
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.chdir(common)
    try:
        syscalls.mount("overlay", f"{directory}/root", "overlay", 0, options)
    finally:
        os.fchdir(before)
        os.close(before)
    return f"{directory}/root"


def inside(root: str, path: str) -> str:
    """`path` with its links followed as if `root` were /.  Raises OSError (ELOOP)."""
    done: list[str] = []
    todo = path.split("/")
    links = 0
    while todo:
        part = todo.pop(0)
        if part in ("", "."):
            continue
        if part == "..":
            del done[-1:]
            continue
        try:
            target = os.readlink("/".join((root, *done, part)))
        except OSError:  # no link, or not there
            done.append(part)
            continue
        links += 1
        if links > _LINKS:
            raise OSError(errno.ELOOP, f"{path}: too many levels of symbolic links in the image")
        if target.startswith("/"):
            done.clear()
        todo[:0] = target.split("/")
    return "/" + "/".join(done)


def furnish(root: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Put what every container has into the image's tree.  Returns the spec with the paths of its mounts inside."""
    for path in _DIRECTORIES:
        os.makedirs(root + inside(root, path), exist_ok=True)
    for path, text in spec["etc"].items():
        place = f"{root}{inside(root, os.path.dirname(path))}/{os.path.basename(path)}"
        if os.path.lexists(place):
            os.unlink(place)
        with open(place, "w") as file:
            file.write(text)
    mounts = [{**entry, "container_path": inside(root, entry["container_path"])} for entry in spec["mounts"]]
    return {**spec, "mounts": mounts}
