"""The entries of a layer: names, kinds, sizes; contents are passed over, except those that somebody wants to look into.

A layer of 500 MB has perhaps 20,000 headers of 512 bytes: only these are read, which is what makes a look at an image
quick.  So this reads tar by itself (ustar, pax, GNU's long names and sparse files, numbers of any size), and only what
is asked of a header here; whoever unpacks a layer uses the standard library (images/layer.py).

Source: POSIX, pax (ustar and pax interchange format); GNU tar manual, "Basic Tar Format"; OCI image-spec, layer.md.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from kitlib.images.errors import ImageError
from kitlib.images.explorer.source import Source
from kitlib.images.layer import MOST_BYTES, MOST_ENTRIES, OPAQUE, PREFIX, clean

DIRECTORY, FILE, LINK, WHITEOUT, OPAQUE_MARK, OTHER = "directory", "file", "link", "whiteout", "opaque", "other"
BLOCK = 512
_ZEROS = bytes(BLOCK)
_LARGEST_EXTRA = 1 << 20  # of a pax header or a long name, as Go's archive/tar has it
_FIELDS = struct.Struct("100s8s8s8s12s12s8ss100s6s2x80x155s12x")
_KINDS = {b"0": FILE, b"\0": FILE, b"7": FILE, b"S": FILE, b"1": LINK, b"2": LINK, b"5": DIRECTORY}
_BODILESS = frozenset(b"123456")
_ODD = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|\0")


class File(NamedTuple):
    """path: without a leading slash, and of a whiteout what it hides; link: a symbolic or hard link's target.

    offset: where its contents begin in the (uncompressed) layer.
    """

    path: str
    kind: str
    size: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    link: str = ""
    offset: int = 0


class Looker(Protocol):
    """Who wants to see the beginning of some files."""

    def wants(self, path: str, size: int) -> int:
        """How many bytes of it."""
        ...

    def see(self, path: str, data: bytes) -> None: ...


def entries(source: Source, looker: Looker | None = None) -> list[File]:
    """All entries in the order of the tar.  Raises ImageError with the place if it is damaged."""
    found: list[File] = []
    for path, header, at in _headers(source):
        size = header.size
        kind = _KINDS.get(header.kind, OTHER)
        if kind is FILE and header.kind == b"\0" and header.name.endswith("/"):
            kind = DIRECTORY
        directory, _, name = path.rpartition("/")
        if name.startswith(PREFIX):
            if name == OPAQUE:
                found.append(File(directory, OPAQUE_MARK))
            elif not name.startswith(PREFIX + PREFIX):  # what aufs kept for itself
                found.append(File(f"{directory}/{name[4:]}" if directory else name[4:], WHITEOUT))
            continue
        if kind is FILE and looker is not None and size:
            wanted = looker.wants(path, size)
            if wanted:
                looker.see(path, source.read(min(wanted, header.stored)))
        found.append(File(path, kind, size, header.mode, header.uid, header.gid, header.mtime, header.link, at))
    return found


class Header(NamedTuple):
    """stored: bytes that follow in the tar (of a sparse file fewer than it has)."""

    name: str
    kind: bytes
    stored: int
    size: int
    mode: int
    uid: int
    gid: int
    mtime: int
    link: str


def members(source: Source) -> dict[str, tuple[Header, int]]:
    """An archive's own entries: path → (header, where its contents begin)."""
    return {path: (header, at) for path, header, at in _headers(source)}


def _headers(source: Source) -> Iterator[tuple[str, Header, int]]:
    read, unpack, checksum = source.read, _FIELDS.unpack, zlib.adler32
    general: dict[str, str] = {}
    extra: dict[str, str] = {}
    position = count = total = 0
    while True:
        block = read(BLOCK)
        if len(block) < BLOCK or block == _ZEROS:
            if 0 < len(block) < BLOCK:
                raise ImageError(f"the layer ends in the middle of a header, at byte {position}")
            return
        name, mode, uid, gid, size, mtime, given, kind, link, magic, prefix = unpack(block)
        # A header's checksum is the sum of its bytes, with eight spaces where it stands itself; the lower half of
        # Adler-32 is such a sum, too, and is computed in C.
        expected = (_number(given, position) - 256 + sum(given) + 1) % 65521
        if expected != checksum(block) & 0xffff and not _fits(block, given, position):
            raise ImageError(f"the layer is damaged: no header of a tar at byte {position}")
        count += 1
        stored = _number(size, position)
        position += BLOCK
        if kind in b"xgLK":
            data = _extra(source, stored, position)
            position += -(-stored // BLOCK) * BLOCK
            if kind == b"L":
                extra["path"] = _text(data)
            elif kind == b"K":
                extra["linkpath"] = _text(data)
            else:
                (extra if kind == b"x" else general).update(_pax(data, position))
            continue
        full = _text(name)
        if magic == b"ustar\0" and prefix[0]:
            full = f"{_text(prefix)}/{full}"
        target = _text(link) if link[0] else ""
        if kind == b"S":
            real, position = _old_sparse(source, block, position)
        else:
            real = stored
        owner, group, time = _number(uid, position), _number(gid, position), _number(mtime, position)
        if extra or general:
            more = {**general, **extra} if general else extra
            full, target = more.get("GNU.sparse.name") or more.get("path", full), more.get("linkpath", target)
            if "size" in more:
                real = stored = _decimal(more["size"], position)
            owner, group, time = (_decimal(more[key].partition(".")[0] or "0", position) if key in more else header
                                  for key, header in (("uid", owner), ("gid", group), ("mtime", time)))
            for key in ("GNU.sparse.realsize", "GNU.sparse.size"):
                if key in more:
                    real = _decimal(more[key], position)
            extra = {}
        if kind[0] in _BODILESS:
            stored = real = 0
        if real < 0 or stored < 0:
            raise ImageError(f"the layer is damaged: {full[:200]!r} has a size below zero")
        total += max(real, stored)
        if count > MOST_ENTRIES or total > MOST_BYTES:
            raise ImageError(f"the layer has more than {MOST_ENTRIES} entries or {MOST_BYTES >> 30} GiB")
        permissions = _number(mode, position) & 0o7777
        yield _path(full), Header(full, kind, stored, real, permissions, owner, group, time, target), position
        position += -(-stored // BLOCK) * BLOCK
        if not source.go_to(position, stored % BLOCK):
            raise ImageError(f"the layer ends in the middle of {full[:200]!r}")


def _path(name: str) -> str:
    name = name[2:] if name.startswith("./") else name
    if name.endswith("/"):
        name = name[:-1]
    if len(name) > 250 or _ODD.search(name):
        return clean(name)
    return name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(field: bytes, position: int) -> int:
    """Octal, or (its first bit set) binary."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=True) if field[0] == 0xff else \
            int.from_bytes(bytes([field[0] & 0x7f]) + field[1:], "big")
    else:
        try:
            value = int(field.partition(b"\0")[0] or b"0", 8)
        except ValueError:
            if field.strip(b" \0"):
                raise ImageError(f"the layer is damaged: a number in the header at byte {position} is none") from None
            value = 0
    return value


def _decimal(text: str, position: int) -> int:
    if not re.fullmatch(r"-?[0-9]{1,19}", text):
        raise ImageError(f"the layer is damaged: {text[:30]!r} in the header before byte {position} is no number")
    return int(text)


def _fits(block: bytes, given: bytes, position: int) -> bool:
    """Some old programs took the bytes as signed."""
    signed = sum(struct.unpack("148b8x356b", block)) + 256
    return signed == _number(given, position)


def _extra(source: Source, size: int, position: int) -> bytes:
    if not 0 <= size <= _LARGEST_EXTRA:
        raise ImageError(f"the layer is damaged: {size} bytes of extra header at byte {position}")
    padded = -(-size // BLOCK) * BLOCK
    data = source.read(padded)
    if len(data) < padded:
        raise ImageError(f"the layer ends in the middle of a header, at byte {position}")
    return data[:size]


def _pax(data: bytes, position: int) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        length = data[at:space]
        if space < 0 or not length.isdigit() or int(length) < space - at + 2 or at + int(length) > len(data):
            raise ImageError(f"the layer is damaged: no pax header before byte {position}")
        key, _, value = data[space + 1:at + int(length) - 1].partition(b"=")
        if not key.startswith((b"SCHILY.", b"LIBARCHIVE.")):
            found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        at += int(length)
    return found


def _old_sparse(source: Source, block: bytes, position: int) -> tuple[int, int]:
    """The real size of GNU's old sparse file, and where its contents begin: its map may go on after the header."""
    more = block[482]
    while more:
        block_of_map = source.read(BLOCK)
        if len(block_of_map) < BLOCK:
            raise ImageError(f"the layer ends in the middle of a header, at byte {position}")
        position += BLOCK
        more = block_of_map[504]
    return _number(block[483:495], position), position
