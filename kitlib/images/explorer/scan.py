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
from typing import NamedTuple, Protocol

from kitlib.images.errors import ImageError
from kitlib.images.explorer.source import Source
from kitlib.images.layer import MOST_BYTES, MOST_ENTRIES, OPAQUE, PREFIX, clean

DIRECTORY, FILE, LINK, HARD_LINK, OTHER = "directory", "file", "link", "hard link", "other"
WHITEOUT, OPAQUE_MARK = "whiteout", "opaque"
BLOCK = 512
_ZEROS = bytes(BLOCK)
_MASK = BLOCK - 1
_LARGEST_EXTRA = 1 << 20  # of a pax header or a long name, as Go's archive/tar has it
_FIELDS = struct.Struct("100s24s12s12s8ss100s6s2x80x155s12x")
_KINDS = {b"0": FILE, b"\0": FILE, b"7": FILE, b"S": FILE, b"1": HARD_LINK, b"2": LINK, b"5": DIRECTORY}
_BODILESS = frozenset((b"1", b"2", b"3", b"4", b"5", b"6"))
_EXTRA = frozenset((b"x", b"g", b"L", b"K"))
_ODD = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|\0")


class File(NamedTuple):
    """path: without a leading slash, and of a whiteout what it hides; link: a symbolic or hard link's target.

    offset: where its contents begin in the (uncompressed) layer, or -1 if they do not lie there as they are.
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
    add, read, go_to, unpack, checksum = found.append, source.read, source.go_to, _FIELDS.unpack, zlib.adler32
    known: dict[bytes, tuple[int, int, int]] = {}  # mode, uid and gid: as bytes they are few
    general: dict[str, str] = {}
    extra: dict[str, str] = {}
    position = total = 0
    while True:
        block = read(BLOCK)
        if block == _ZEROS or (not block and source.sure):
            return found
        if len(block) < BLOCK:
            raise ImageError(f"it ends in the middle of a header, at byte {position}")
        raw, rights, size, mtime, given, kind, link, magic, prefix = unpack(block)
        # A header's checksum is the sum of its bytes, with eight spaces where it stands itself; the lower half of
        # Adler-32 is such a sum, too, and is computed in C.
        try:
            summed, stored, time = int(given[:6], 8), int(size[:-1], 8), int(mtime[:-1], 8)
        except ValueError:
            summed, stored, time = _number(given[:7], position), _number(size, position), _number(mtime, position)
        expected = (summed - 256 + sum(given) + 1) % 65521
        if expected != checksum(block) & 0xffff and not _fits(block, given, position):
            raise ImageError(f"it is damaged: no header of a tar at byte {position}")
        position += BLOCK
        if kind in _EXTRA:
            data = _extra(source, stored, position)
            position += stored + (-stored & _MASK)
            if kind == b"L":
                extra["path"] = _text(data)
            elif kind == b"K":
                extra["linkpath"] = _text(data)
            else:
                (extra if kind == b"x" else general).update(_pax(data, position))
            continue
        name = raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        if prefix[0] and magic == b"ustar\0":
            name = f"{_text(prefix)}/{name}"
        target = _text(link) if link[0] else ""
        real, at = stored, position
        owner = known.get(rights)
        if owner is None:
            owner = known[rights] = (_number(rights[:8], position) & 0o7777, _number(rights[8:16], position),
                                     _number(rights[16:], position))
        if kind == b"S":
            real, position = _old_sparse(source, block, position)
            at = -1
        if extra or general:
            more = {**general, **extra} if general else extra
            name, target = more.get("GNU.sparse.name") or more.get("path", name), more.get("linkpath", target)
            if "size" in more:
                real = stored = _decimal(more["size"], position)
            for key in ("GNU.sparse.realsize", "GNU.sparse.size"):
                if key in more:
                    real, at = _decimal(more[key], position), -1
            user, group, time = (_decimal(more[key].partition(".")[0] or "0", position) if key in more else header
                                 for key, header in (("uid", owner[1]), ("gid", owner[2]), ("mtime", time)))
            owner = owner[0], user, group
            extra = {}
        if kind in _BODILESS:
            stored = real = 0
        elif kind == b"\0" and name.endswith("/"):
            kind = b"5"
        if real < 0 or stored < 0:
            raise ImageError(f"it is damaged: {name[:200]!r} has a size below zero")
        total += real if real > stored else stored
        if len(found) > MOST_ENTRIES or total > MOST_BYTES:
            raise ImageError(f"it has more than {MOST_ENTRIES} entries or {MOST_BYTES >> 30} GiB")
        path = _path(name)
        if ".wh." in path and (hidden := _whiteout(path)) is not None:
            found += hidden
        else:
            what = _KINDS.get(kind, OTHER)
            if real and looker is not None and what is FILE and (wanted := looker.wants(path, real)):
                looker.see(path, read(wanted if wanted < stored else stored))
            add(File(path, what, real, *owner, time, target, at))
        position += stored + (-stored & _MASK)
        if not go_to(position, stored & _MASK):
            raise ImageError(f"it ends in the middle of {name[:200]!r}")


def _whiteout(path: str) -> list[File] | None:
    """What a marker means; None if it is none."""
    directory, _, name = path.rpartition("/")
    if not name.startswith(PREFIX):
        return None
    if name == OPAQUE:
        return [File(directory, OPAQUE_MARK)]
    if name.startswith(PREFIX + PREFIX):  # what aufs kept for itself
        return []
    return [File(f"{directory}/{name[len(PREFIX):]}" if directory else name[len(PREFIX):], WHITEOUT)]


def _path(name: str) -> str:
    if name[:2] == "./":
        name = name[2:]
    if name[-1:] == "/":
        name = name[:-1]
    if len(name) > 250 or "/." in name or "//" in name or name[:1] in {"", ".", "/"} or "\0" in name:
        return clean(name) if len(name) > 250 or _ODD.search(name) else name
    return name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(field: bytes, position: int) -> int:
    """Octal, or (its first bit set) binary."""
    try:
        return int(field[:-1], 8)
    except ValueError:
        pass
    if field[0] & 0x80:
        return int.from_bytes(field, "big", signed=True) if field[0] == 0xff else \
            int.from_bytes(bytes([field[0] & 0x7f]) + field[1:], "big")
    digits = field.partition(b"\0")[0].strip()
    if re.fullmatch(rb"[0-7]*", digits) is None:
        raise ImageError(f"it is damaged: a number in the header at byte {position} is none")
    return int(digits or b"0", 8)


def _decimal(text: str, position: int) -> int:
    if re.fullmatch(r"-?[0-9]{1,19}", text) is None:
        raise ImageError(f"it is damaged: {text[:30]!r} in the header before byte {position} is no number")
    return int(text)


def _fits(block: bytes, given: bytes, position: int) -> bool:
    """Some programs wrote seven digits, and some old ones took the bytes as signed."""
    sums = (sum(struct.unpack(f"148{byte}8x356{byte}", block)) + 256 for byte in "Bb")
    return _number(given + b"\0", position) in sums


def _extra(source: Source, size: int, position: int) -> bytes:
    if not 0 <= size <= _LARGEST_EXTRA:
        raise ImageError(f"it is damaged: {size} bytes of extra header at byte {position}")
    padded = size + (-size & _MASK)
    data = source.read(padded)
    if len(data) < padded:
        raise ImageError(f"it ends in the middle of a header, at byte {position}")
    return data[:size]


def _pax(data: bytes, position: int) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        length = data[at:space]
        if space < 0 or not length.isdigit() or int(length) < space - at + 2 or at + int(length) > len(data):
            raise ImageError(f"it is damaged: no pax header before byte {position}")
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
            raise ImageError(f"it ends in the middle of a header, at byte {position}")
        position += BLOCK
        more = block_of_map[504]
    return _number(block[483:495], position), position
