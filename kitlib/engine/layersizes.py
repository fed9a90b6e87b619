"""How many bytes the files of a layer have, and whether it can be read to its end.

What comes by `docker load` or `docker import` is looked through before it gets a name; a layer that was damaged on the
disk later still has a size: that of what can be read of it.
"""

from __future__ import annotations

import tarfile
import zlib
from typing import Any, cast

from kitlib.images import compression
from kitlib.images.descriptor import Descriptor
from kitlib.images.errors import ImageError
from kitlib.images.store import ImageStore


def measure(store: ImageStore, one: Descriptor) -> tuple[int, str]:
    """The bytes, as Docker counts them, and what is wrong with it ("": nothing)."""
    total = 0
    if not one.size:
        return 0, ""
    try:
        with open(store.blob(one.digest), "rb") as file:
            plain = compression.kind(file) == compression.PLAIN
            with tarfile.open(fileobj=cast(Any, file if plain else compression.plain(file)),
                              mode="r:" if plain else "r|") as tar:
                for member in tar:
                    total += member.size
                    tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, ImageError) as error:
        return total, str(error)
    return total, ""


def check(store: ImageStore, one: Descriptor) -> None:
    """Raises ImageError for what is no layer."""
    _, wrong = measure(store, one)
    if wrong:
        raise ImageError(f"archive/tar: invalid tar header: {wrong}")
