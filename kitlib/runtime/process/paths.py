"""Unix sockets with long names: sun_path has 108 bytes, a directory in a test or a home directory may have more."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_LONGEST = 100


@contextlib.contextmanager
def socket_path(path: str) -> Iterator[str]:
    """A name for `path` that is short enough to bind or connect to, while the block lasts."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield path
        return
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{os.path.basename(path)}"
    finally:
        os.close(directory)
