"""A container's root directory: an image's layers below, a directory of its own above (process/overlay.py).

An image of the catalogue has no layers, only a description (process/images.py).  It becomes one layer, made once, with
the few files of its own; the programs come out of the host as read-only mounts, and where the image puts something of
its own into such a directory (nginx into /usr), that one is an overlay, too.

Source: the kernel's filesystems/overlayfs.rst.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from kitlib.runtime.process import rootfs as host
from kitlib.runtime.process import syscalls
from kitlib.runtime.process.paths import remove_tree

Object = dict[str, Any]


def unmount(directory: str) -> None:
    """Let go of the root; files that are open in it keep it for themselves as long as they are."""
    with contextlib.suppress(OSError):  # it never was mounted
        syscalls.syscall("umount2", f"{directory}/root".encode(), syscalls.MNT_DETACH)


def described_layer(image: Mapping[str, Any], accounts: Mapping[str, str], place: str) -> str:
    """The one layer of a catalogue's image, made under `place` if it is not there yet.  Returns its directory.

    accounts: /etc/passwd and /etc/group, for which such an image relies on us.
    """
    key = hashlib.sha256(json.dumps([image, accounts], sort_keys=True).encode()).hexdigest()[:32]
    layer = f"{place}/{key}"
    if os.path.isdir(layer):
        return layer
    os.makedirs(place, exist_ok=True)
    made = f"{layer}.making"
    remove_tree(made)  # of a daemon that was killed over it
    os.mkdir(made, 0o755)
    if image["host_programs"]:
        for name in host.HOST_DIRECTORIES:
            if os.path.islink(f"/{name}"):
                os.symlink(os.readlink(f"/{name}"), f"{made}/{name}")
    host.populate(made, image, accounts, "")
    for path, source in image["binds"]:
        _mount_point(made + path, is_directory=os.path.isdir(source))
    os.rename(made, layer)
    return layer


def _mount_point(path: str, *, is_directory: bool) -> None:
    if is_directory:
        os.makedirs(path, exist_ok=True)
    elif not os.path.lexists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


def described_mounts(image: Mapping[str, Any], layer: str) -> list[Object]:
    """The programs of the host that belong to a catalogue's image, as mounts of the runtime-spec."""
    if not image["host_programs"]:
        return []
    mounts: list[Object] = []
    for name in host.HOST_DIRECTORIES:
        path = f"/{name}"
        if os.path.islink(path) or not os.path.isdir(path):
            continue
        if os.path.isdir(layer + path) and os.listdir(layer + path):
            mounts.append({"destination": path, "type": "overlay", "source": "overlay",
                           "options": ["ro", f"lowerdir={layer}{path}:{path}"]})
        else:
            mounts.append(_bind(path))
    return mounts + [_bind(path) for path in host.HOST_FILES if os.path.exists(path)]


def _bind(path: str) -> Object:
    return {"destination": path, "type": "bind", "source": path, "options": ["rbind", "rprivate", "ro"]}
