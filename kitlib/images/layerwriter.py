"""Writing layers: the same files always give the same bytes, so the same digest.

Entries are sorted by path (hard links last: what they lead to has to be there), carry no names of users, and times in
whole seconds.

Source: OCI image-spec, layer.md (whiteouts, changesets); reproducible-builds.org, archives.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from kitlib.images.layer import OPAQUE, PREFIX

Content = Callable[[], BinaryIO]
_OPAQUE_MARKS = ("trusted.overlay.opaque", "user.overlay.opaque")


@dataclass(frozen=True)
class Entry:
    """One entry of a layer.  path: without a leading slash; kind: tarfile's type; link: a link's target."""

    path: str
    kind: bytes = tarfile.REGTYPE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    link: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    content: Content | None = field(default=None, compare=False)

    def at(self, path: str) -> Entry:
        return replace(self, path=path)


def write_layer(entries: Iterable[Entry], out: BinaryIO) -> None:
    """A tar of the entries."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for entry in sorted(entries, key=lambda e: (e.kind == tarfile.LNKTYPE, e.path.split("/"))):
            info = tarfile.TarInfo(entry.path)
            info.type, info.mode, info.uid, info.gid = entry.kind, entry.mode, entry.uid, entry.gid
            info.mtime, info.linkname = entry.mtime, entry.link
            info.devmajor, info.devminor = entry.device
            info.pax_headers = {f"SCHILY.xattr.{key}": value.decode("utf-8", "surrogateescape")
                                for key, value in entry.xattrs}
            if entry.kind == tarfile.REGTYPE and entry.content is not None:
                info.size = entry.size
                with entry.content() as content:
                    tar.addfile(info, content)
            else:
                tar.addfile(info)
            tar.members.clear()  # type: ignore[attr-defined]


def of_text(path: str, text: bytes, *, mode: int = 0o644, mtime: int = 0) -> Entry:
    return Entry(path, mode=mode, mtime=mtime, size=len(text), content=lambda: io.BytesIO(text))


def of_file(place: Path, path: str, *, mine: int = -1) -> Entry:
    """An entry for a file of this machine.  mine: the user whose files are root's in the image (a user namespace)."""
    found = os.lstat(place)
    kinds = {stat.S_IFREG: tarfile.REGTYPE, stat.S_IFDIR: tarfile.DIRTYPE, stat.S_IFLNK: tarfile.SYMTYPE,
             stat.S_IFIFO: tarfile.FIFOTYPE, stat.S_IFCHR: tarfile.CHRTYPE, stat.S_IFBLK: tarfile.BLKTYPE}
    kind = kinds.get(stat.S_IFMT(found.st_mode))
    if kind is None:
        raise ValueError(f"{place} is a socket, which no image can hold")
    return Entry(
        path, kind, stat.S_IMODE(found.st_mode), 0 if found.st_uid == mine else found.st_uid,
        0 if mine >= 0 and found.st_gid == os.getegid() else found.st_gid, int(found.st_mtime),
        found.st_size if kind == tarfile.REGTYPE else 0, os.readlink(place) if kind == tarfile.SYMTYPE else "",
        (os.major(found.st_rdev), os.minor(found.st_rdev)) if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE) else (0, 0),
        _xattrs(place) if kind != tarfile.SYMTYPE else (), lambda: open(place, "rb"))


def _xattrs(place: Path) -> tuple[tuple[str, bytes], ...]:
    """Those that belong to the file (capabilities, say), not to overlayfs or this machine's labels."""
    kept = [name for name in sorted(_names(place)) if name == "security.capability"
            or (name.startswith("user.") and not name.startswith(("user.overlay.", "user.kit.")))]
    return tuple((name, os.getxattr(place, name, follow_symlinks=False)) for name in kept)


def _names(place: Path) -> list[str]:
    try:
        return os.listxattr(place, follow_symlinks=False)
    except OSError:
        return []


def of_upper(upper: Path, *, mine: int = -1) -> Iterator[Entry]:
    """What a program has changed, out of the upper directory of an overlay."""
    links: dict[tuple[int, int], str] = {}
    for parent, directories, files in os.walk(upper):
        base = os.path.relpath(parent, upper)
        base = "" if base == "." else f"{base}/"
        if base and any(_is_opaque(parent, mark) for mark in _OPAQUE_MARKS):
            yield Entry(f"{base}{OPAQUE}")
        for name in sorted((*directories, *files)):
            place = Path(parent, name)
            found = os.lstat(place)
            if stat.S_ISSOCK(found.st_mode):
                continue
            if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
                yield Entry(f"{base}{PREFIX}{name}")
                continue
            yield linked(of_file(place, base + name, mine=mine), place, links)


def linked(entry: Entry, place: Path, links: dict[tuple[int, int], str]) -> Entry:
    """The same, or a hard link, if the file is in the layer by another name.  links: file → its first name there."""
    found = os.lstat(place)
    if entry.kind != tarfile.REGTYPE or found.st_nlink < 2:
        return entry
    first = links.setdefault((found.st_dev, found.st_ino), entry.path)
    if first == entry.path:
        return entry
    return replace(entry, kind=tarfile.LNKTYPE, link=first, size=0, content=None, xattrs=())


def _is_opaque(place: str, mark: str) -> bool:
    try:
        return os.getxattr(place, mark) == b"y"
    except OSError:
        return False


def of_difference(before: Path, after: Path, *, mine: int = -1) -> Iterator[Entry]:
    """The same by comparing two directories, where there is no overlayfs: `after` was a copy of `before`."""
    links: dict[tuple[int, int], str] = {}
    told: set[str] = set()
    for entry in _differences(before, after, mine, links):
        for directory in _above(entry.path):  # as overlayfs has them: those that something has changed in
            if directory not in told:
                told.add(directory)
                yield of_file(after / directory, directory, mine=mine)
        if entry.path not in told:
            told.add(entry.path)
            yield entry


def without(entries: Iterable[Entry], ours: Collection[str],
            changed: Callable[[str], bool] = lambda path: False) -> list[Entry]:
    """Leave out `ours`, which are there only so that something can be mounted on them, what only leads there, and
    all of /dev, /proc and /sys.  changed: whether a directory was there before, with other rights."""
    kept = [e for e in entries if e.path not in ours and not e.path.startswith(("dev/", "proc/", "sys/"))]
    needed = {directory for e in kept if e.kind != tarfile.DIRTYPE for directory in _above(e.path)}
    leading = {directory for path in ours for directory in _above(path)}
    return [e for e in kept
            if e.kind != tarfile.DIRTYPE or e.path not in leading or e.path in needed or changed(e.path)]


def _above(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[:i]) for i in range(1, len(parts)))


def _differences(before: Path, after: Path, mine: int, links: dict[tuple[int, int], str]) -> Iterator[Entry]:
    for parent, directories, files in os.walk(after):
        base = os.path.relpath(parent, after)
        base = "" if base == "." else f"{base}/"
        there = Path(before, base)
        names = set(directories) | set(files)
        if there.is_dir() and not there.is_symlink():
            yield from (Entry(f"{base}{PREFIX}{name}") for name in sorted(set(os.listdir(there)) - names))
        for name in sorted(names):
            place = Path(parent, name)
            if not stat.S_ISSOCK(os.lstat(place).st_mode) and not same(there / name, place):
                yield linked(of_file(place, base + name, mine=mine), place, links)


def same(before: Path, after: Path) -> bool:
    try:
        old, new = os.lstat(before), os.lstat(after)
    except FileNotFoundError:
        return False
    if (old.st_mode, old.st_uid, old.st_gid) != (new.st_mode, new.st_uid, new.st_gid):
        return False
    if not stat.S_ISLNK(new.st_mode) and "user.kit.owner" in _names(after):
        return False
    if stat.S_ISDIR(new.st_mode):
        return True
    if stat.S_ISLNK(new.st_mode):
        return os.readlink(before) == os.readlink(after)
    return (old.st_size, old.st_mtime_ns) == (new.st_size, new.st_mtime_ns)
