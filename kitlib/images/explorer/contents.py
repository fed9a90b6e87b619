"""What is in files of a layer: read again, at the places that scanning has noted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from kitlib.images.errors import ImageError
from kitlib.images.explorer.scan import File
from kitlib.images.explorer.source import Place, Source, opened

_PIECE = 1 << 20


def read(layer: Place, file: File) -> bytes:
    """All of one file.  Raises ImageError if the layer is damaged."""
    with opened(layer) as source:
        return b"".join(_pieces(source, file))


def digests(layer: Place, files: Iterable[File]) -> dict[str, str]:
    """Path → sha256 of its contents; files of any size, in the order in which they lie there."""
    found = {}
    with opened(layer) as source:
        for file in sorted(files, key=lambda each: each.offset):
            digest = hashlib.sha256()
            for piece in _pieces(source, file):
                digest.update(piece)
            found[file.path] = digest.hexdigest()
    return found


def _pieces(source: Source, file: File) -> Iterator[bytes]:
    if file.offset < 0:
        raise ImageError(f"{file.path!r} is a sparse file, which is not read")
    if not source.go_to(file.offset, 0):
        raise ImageError(f"the layer ends before {file.path!r}")
    left = file.size
    while left:
        piece = source.read(min(left, _PIECE))
        if not piece:
            raise ImageError(f"the layer ends in the middle of {file.path!r}")
        left -= len(piece)
        yield piece
