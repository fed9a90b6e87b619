"""A container's files without namespaces: the host's root, and a private directory of its own.

Where neither root nor user namespaces are to be had (a container of Docker's default profile, as on Binder), a
program sees the host's files.  Its volumes, /tmp and the image's own files lie in a directory, `$KIT_ROOT`, and

* every path of the command, arguments and environment that names one of them is rewritten to it,
* `PATH` finds the image's programs there first, and the working directory is there.

So `cat /etc/config/colour` in a manifest works, but a path that a program has built in does not: `kit doctor` says so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kitlib.runtime.process import rootfs

_PATH = re.compile(r"(?<![\w./~$}\\-])/[A-Za-z0-9._][\w./+-]*")


def prepare(root: str, spec: Mapping[str, Any]) -> None:
    """Fill the container's directory: the image's files, and a link for every mount."""
    os.makedirs(root, exist_ok=True)
    for entry in sorted(spec["mounts"], key=lambda entry: entry["container_path"].count("/")):
        target = root + entry["container_path"]
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.realpath(os.path.dirname(target)).startswith(os.path.realpath(root)) and not os.path.lexists(target):
            os.symlink(entry["host_path"], target)
    covered = [entry["container_path"] for entry in spec["mounts"]]
    image = dict(spec["image"])
    image["files"] = {path: text for path, text in image["files"].items() if not _under(path, covered)}
    image["directories"] = [path for path in image["directories"] if not _under(path, covered)]
    rootfs.populate(root, image, spec["etc"], root)


def _under(path: str, prefixes: list[str]) -> bool:
    return any(path == prefix or path.startswith(prefix.rstrip("/") + "/") for prefix in prefixes)


def rewriter(root: str, spec: Mapping[str, Any]) -> Callable[[str], str]:
    """What turns a container's path inside a text into the host's; all other text stays."""
    image = spec["image"]
    mounted = [entry["container_path"] for entry in spec["mounts"]]
    private = ["/tmp", *image["directories"], *image["files"], *mounted]  # /etc/hosts: libc reads the host's anyway

    def replace(match: re.Match[str]) -> str:
        path = match.group()
        return root + path if _under(path, private) or not os.path.lexists("/" + path.split("/")[1]) else path

    return lambda text: _PATH.sub(replace, text)


def arguments(argv: Sequence[str], root: str, rewrite: Callable[[str], str]) -> list[str]:
    """A command line with its paths rewritten.

    tar names what it packs by the path it was given, so `tar cf - /tmp/a` (that is `kubectl cp` out of a Pod) would
    pack a file of another name: it gets `-C $KIT_ROOT tmp/a`, which is the container's own name for it.
    """
    changed = [rewrite(argument) for argument in argv]
    packs = os.path.basename(argv[0]) == "tar" and len(argv) > 3 and re.fullmatch(r"-?\w*c\w*f", argv[1])
    if not packs or not all(operand.startswith("/") for operand in argv[3:]):
        return changed
    operands = [["-C", root, given.lstrip("/")] if found == root + given else [found]
                for given, found in zip(argv[3:], changed[3:], strict=True)]
    return changed[:3] + [word for words in operands for word in words]


def environment(root: str, env: Mapping[str, str], rewrite: Callable[[str], str]) -> dict[str, str]:
    changed = {name: value if name == "PATH" else rewrite(value) for name, value in env.items()}
    inside = changed.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").split(":")
    changed["PATH"] = ":".join([root + directory for directory in inside] + inside)
    changed["KIT_ROOT"] = root
    return changed


def working_directory(root: str, cwd: str) -> str:
    """Always in the container's directory: what a program writes beside itself is its own."""
    return root + cwd.rstrip("/")
