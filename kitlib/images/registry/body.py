"""The body of a request, in pieces, whether its length was said before (Content-Length) or is not known (chunked).

Source: RFC 9112, sections 6 and 7.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kitlib.images.descriptor import CHUNK
from kitlib.images.registry.errors import RegistryError

_LONGEST_LINE = 1024
_ENDLESS = 1 << 62


class Body:
    """length: None if it is not known."""

    def __init__(self, file: Any, headers: Any) -> None:
        self._file, self._said = file, headers.get("Content-Length") or "0"
        self._chunked = (headers.get("Transfer-Encoding") or "").strip().lower() == "chunked"
        known = int(self._said) if self._said.isascii() and self._said.isdigit() else -1
        self.length = None if self._chunked else known
        self._left = self.length or 0  # of the whole, or of this chunk
        self._ended = self.length == 0

    def check(self) -> None:
        if self.length == -1:
            self._left = _ENDLESS  # how long it is nobody knows: the connection cannot go on
            raise RegistryError(400, "SIZE_INVALID", f"no Content-Length: {self._said}")

    def pieces(self) -> Iterator[bytes]:
        """Raises RegistryError if the connection ends too early, or what comes is no body."""
        while not self._ended:
            if self._chunked and not self._left:
                self._left = self._size()
                if not self._left:
                    while self._line():  # trailers
                        continue
                    self._ended = True
                    return
            piece = self._file.read(min(CHUNK, self._left))
            if not piece:
                raise self._broken("the connection ended in the middle of a body")
            self._left -= len(piece)
            if self._chunked and not self._left and self._line():
                raise self._broken("a chunk is longer than it says")
            self._ended = not self._chunked and not self._left
            yield piece

    def read_all(self, most: int) -> bytes:
        data = bytearray()
        for piece in self.pieces():
            data += piece
            if len(data) > most:
                raise RegistryError(413, "SIZE_INVALID", f"more than {most} bytes")
        return bytes(data)

    def skip(self, most: int) -> bool:
        """Read what is left of it.  False if that is too much, or cannot be done: what follows is no new request."""
        try:
            for piece in self.pieces() if self._left <= most else ():
                most -= len(piece)
                if most < 0:
                    return False
        except (RegistryError, OSError):
            return False
        return self._ended

    def _line(self) -> bytes:
        line: bytes = self._file.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise self._broken("the connection ended between two chunks, or a line is too long")
        return line.strip()

    def _size(self) -> int:
        word = self._line().partition(b";")[0].strip()
        try:
            if not word.isalnum():
                raise ValueError
            return int(word, 16)
        except ValueError:
            raise self._broken(f"no size of a chunk: {word.decode(errors='replace')[:20]}") from None

    def _broken(self, what: str) -> RegistryError:
        self._chunked, self._left = False, _ENDLESS  # nothing after this can be understood
        return RegistryError(400, "BLOB_UPLOAD_INVALID", what)
