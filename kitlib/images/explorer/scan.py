"""The entries of a layer: names, kinds, sizes; contents are skipped, or handed to whoever wants to look into them.

Source: POSIX, pax; OCI image-spec, layer.md.
"""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kitlib.images import compression
from kitlib.images.errors import ImageError
from kitlib.images.layer import OPAQUE, PREFIX, clean

DIRECTORY, FILE, LINK, WHITEOUT, OPAQUE_MARK, OTHER = "directory", "file", "link", "whiteout", "opaque", "other"
Look = Callable[[str, int, Callable[[int], bytes]], None]  # path, size, and how to read the first so many bytes


@dataclass(frozen=True, slots=True)
class File:
    """path: without a leading slash, and of a whiteout what it hides; link: a symbolic or hard link's target."""

    path: str
    kind: str
    size: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    link: str = ""


def entries(blob: Path, look: Look | None = None) -> Iterator[File]:
    """All entries in the order of the tar.  Raises ImageError if it is damaged."""
    try:
        with blob.open("rb") as stream:
            packed = compression.kind(stream) != compression.PLAIN
            with tarfile.open(fileobj=compression.plain(stream), mode="r|" if packed else "r:") as tar:
                for member in tar:
                    found = _file(member)
                    if look is not None and found.kind == FILE:
                        source = tar.extractfile(member)
                        assert source is not None
                        look(found.path, found.size, source.read)
                    yield found
                    tar.members.clear()  # type: ignore[attr-defined]
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ImageError(f"the layer cannot be read: {error}") from error
    except Exception as error:
        if not compression.is_broken(error):
            raise
        raise ImageError(f"the layer is damaged: {error}") from error


def _file(member: tarfile.TarInfo) -> File:
    path = clean(member.name)
    directory, name = posixpath.split(path)
    if name == OPAQUE:
        return File(directory, OPAQUE_MARK)
    if name.startswith(PREFIX):
        return File(posixpath.join(directory, name.removeprefix(PREFIX)), WHITEOUT)
    kind = DIRECTORY if member.isdir() else FILE if member.isfile() else LINK if member.issym() or member.islnk() \
        else OTHER
    return File(path, kind, member.size if member.isfile() else 0, member.mode & 0o7777, member.uid, member.gid,
                int(member.mtime), member.linkname)
