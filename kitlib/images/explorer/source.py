"""Where a layer's bytes come from: a part of a file as it is, or unpacked on the way.

    Plain      what is not wanted is jumped over, so that it need never be read from the disk
    Packed     gzip and zstd have to be unpacked to the end, a megabyte at a time
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

from kitlib.images import compression
from kitlib.images.errors import ImageError

_WINDOW = 8 * 1024  # small files stand close together: one read gives several headers
_PIECE = 1 << 20


class Place(NamedTuple):
    """Bytes offset … offset + size of a file."""

    path: Path
    offset: int
    size: int


class Source(Protocol):
    """A tar that is read from its beginning to its end.

    sure: whether an end of the bytes is the end, and not that of an archive that was cut off (zstd does not tell).
    """

    sure: bool

    def read(self, count: int) -> bytes:
        """Fewer bytes only at the end."""
        ...

    def go_to(self, position: int, padding: int) -> bool:
        """Forward; False if the tar ends before (its last padding may be missing: then of 512 bytes)."""
        ...


class Plain:
    sure = True

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._at, self._end = file, start, start, start + size
        file.seek(start)

    def read(self, count: int) -> bytes:
        room = self._end - self._at
        data = self._file.read(count if count <= room else room)
        self._at += len(data)
        return data

    def go_to(self, position: int, padding: int) -> bool:
        place = self._start + position
        if place != self._at:
            if place > self._end:
                if not padding or place - (512 - padding) > self._end:
                    return False
                place = self._end
            self._at = place
            self._file.seek(place)
        return True


class Packed:
    def __init__(self, stream: BinaryIO, how: str) -> None:
        self._pieces, self.sure = unpacked(stream, how), how == compression.GZIP
        self._buffer, self._at, self._before = b"", 0, 0  # of the buffer; bytes of the tar before the buffer

    def _more(self) -> bool:
        piece = next(self._pieces, b"")
        self._before += self._at
        self._buffer, self._at = self._buffer[self._at:] + piece, 0
        return bool(piece)

    def read(self, count: int) -> bytes:
        while len(self._buffer) - self._at < count and self._more():
            pass
        data = self._buffer[self._at:self._at + count]
        self._at += len(data)
        return data

    def go_to(self, position: int, padding: int) -> bool:
        while self._before + len(self._buffer) < position:
            self._at = len(self._buffer)
            if not self._more():
                return bool(padding) and self._before >= position - (512 - padding)
        self._at = max(self._at, position - self._before)
        return True


@contextlib.contextmanager
def opened(place: Place) -> Iterator[Source]:
    """Raises ImageError, also later, if what is compressed is damaged."""
    try:
        with open(place.path, "rb", buffering=_WINDOW) as file:
            how = kind_of(file, place)
            if how == compression.PLAIN:
                yield Plain(file, place.offset, place.size)
            else:
                yield Packed(part(file, place), how)
    except (OSError, EOFError) as error:
        raise ImageError(f"it cannot be read: {error}") from error
    except Exception as error:
        if not compression.is_broken(error):
            raise
        raise ImageError(f"it is damaged: {error}") from error


def kind_of(file: BinaryIO, place: Place) -> str:
    file.seek(place.offset)
    return compression.kind(file)


def part(file: BinaryIO, place: Place) -> BinaryIO:
    """A part of a file as a stream of its own."""
    return cast(BinaryIO, _Part(file, place.offset, place.size))


class _Part(io.RawIOBase):
    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._left = file, size
        file.seek(start)

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        count = self._left if count is None or count < 0 else min(count, self._left)
        data = self._file.read(count)
        self._left -= len(data)
        return data

    def readinto(self, target: bytearray) -> int:  # type: ignore[override]
        data = self.read(len(target))
        target[:len(data)] = data
        return len(data)


def unpacked(stream: BinaryIO, how: str) -> Iterator[bytes]:
    """Piece by piece.  how: gzip or zstd."""
    return _unzipped(stream) if how == compression.GZIP else _unpacked(stream)


def _unzipped(stream: BinaryIO) -> Iterator[bytes]:
    """Members one after the other, each checked by its own checksum; what follows the last is padding."""
    start: Any = _inflater()
    unzip, given = start(31), b""
    while True:
        given = given or stream.read(_PIECE // 4)
        if not given:
            while piece := unzip.decompress(b"", _PIECE):
                yield piece
            if not unzip.eof:
                raise EOFError("the compressed data ends too early")
            return
        if unzip.eof:
            given = given.lstrip(b"\0")
            if not given:
                continue
            unzip = start(31)
        piece = unzip.decompress(given, _PIECE)
        given = unzip.unused_data if unzip.eof else unzip.unconsumed_tail
        if piece:
            yield piece


def _inflater() -> Any:
    """Intel's, where it is installed: it takes half the time."""
    try:
        from isal import isal_zlib
    except ImportError:
        import zlib

        return zlib.decompressobj
    return isal_zlib.decompressobj


def _unpacked(stream: BinaryIO) -> Iterator[bytes]:
    whole = compression.unpacked(stream, compression.ZSTD)
    while piece := whole.read(_PIECE):
        yield piece
