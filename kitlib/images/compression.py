"""Layers come plain, as gzip or as zstd; what they are is told by their first bytes, not by their names.

Source: OCI image-spec, layer.md; RFC 1952; RFC 8878.
"""

from __future__ import annotations

import gzip
import zlib
from typing import BinaryIO, cast

from kitlib.images.errors import ImageError

GZIP, ZSTD, PLAIN = "gzip", "zstd", ""
_MAGIC = {b"\x1f\x8b": GZIP, b"\x28\xb5\x2f\xfd": ZSTD}
BROKEN = (EOFError, zlib.error, gzip.BadGzipFile)


def kind(stream: BinaryIO) -> str:
    """gzip, zstd or "" for neither; the stream (which must be able to seek) stands where it stood."""
    place = stream.tell()
    start = stream.read(4)
    stream.seek(place)
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), PLAIN)


def suffix(how: str) -> str:
    """What a layer's media type ends with."""
    return f"+{how}" if how else ""


def plain(stream: BinaryIO) -> BinaryIO:
    """The same bytes uncompressed.  Raises ImageError on zstd where no zstd is installed."""
    return unpacked(stream, kind(stream))


def unpacked(stream: BinaryIO, how: str) -> BinaryIO:
    """The same of a stream that cannot seek.  how: as `kind` says."""
    if how == GZIP:
        return cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    if how == ZSTD:
        try:
            import zstandard
        except ImportError as error:
            raise ImageError("a layer is compressed with zstd, and the package zstandard is not installed") from error
        return cast(BinaryIO, zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True))
    return stream


def is_broken(error: Exception) -> bool:
    """Whether an error means that the compressed bytes are damaged."""
    return isinstance(error, BROKEN) or type(error).__name__ in ("ZstdError", "IsalError")
