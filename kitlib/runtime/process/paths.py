"""Two things about paths that the standard library does not do, or not lightly enough for the daemon."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

_LONGEST = 100


@contextlib.contextmanager
def socket_path(path: str) -> Iterator[str]:
    """A name for a unix socket that is short enough to bind or connect to, while the block lasts.

    sun_path has 108 bytes; a directory in a test or a home directory may have more.
    """
    if len(os.fsencode(path)) <= _LONGEST:
        yield path
        return
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{os.path.basename(path)}"
    finally:
        os.close(directory)


def remove_tree(directory: str) -> None:
    """`shutil.rmtree` without the compression modules it brings along; never follows a link out of the container."""
    for parent, directories, files in os.walk(directory, topdown=False, onerror=lambda error: None):
        for name in files:
            _quietly(os.unlink, f"{parent}/{name}")
        for name in directories:
            path = f"{parent}/{name}"
            _quietly(os.unlink if os.path.islink(path) else os.rmdir, path)
    _quietly(os.rmdir, directory)


def _quietly(remove: Callable[[str], None], path: str) -> None:
    try:
        remove(path)
    except OSError:
        pass  # another user's file (a container run as somebody else): it stays, and costs only its room
