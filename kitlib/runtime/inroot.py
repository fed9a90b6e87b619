"""Symbolic links inside a root that is not this process's: they lead where they lead *in there*.

    /out ─▶ ../../etc   in a container is the container's /etc: nothing leads out of a root

Source: man path_resolution(7); runc's securejoin.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Callable

_LINKS = 40


def follow(path: str, readlink: Callable[[str], str | None], *, last: bool = True) -> str:
    """The same path without links and dots, and without a leading slash ("" is the root itself).

    readlink: the target of the link at such a path, or None if there is none.  last: whether the last part is
    followed, too.  Raises OSError (ELOOP) in a circle.
    """
    waiting = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    seen, links = "", 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            seen = posixpath.dirname(seen)
            continue
        step = f"{seen}/{part}" if seen else part
        target = readlink(step) if waiting or last else None
        if target is None:
            seen = step
            continue
        links += 1
        if links > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if target.startswith("/"):
            seen = ""
        waiting += [p for p in reversed(target.split("/")) if p not in ("", ".")]
    return seen


def readlink(place: str) -> str | None:
    """A link's target, or None if there is no link."""
    try:
        return os.readlink(place)
    except OSError:
        return None
