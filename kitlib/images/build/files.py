"""The files that COPY and ADD take, as entries of a new layer.

    sources (context, another step, an image, heredocs, URLs, tars)  ──▶  entries at their target, with owner and mode

Targets go through the links of the image that they are copied into: where /bin is a link to usr/bin, `COPY x /bin/`
makes usr/bin/x, as in a running container.

Source: docs.docker.com/reference/dockerfile (COPY); moby/buildkit, solver/llbsolver/file; tonistiigi/fsutil, copy.
"""

from __future__ import annotations

import functools
import hashlib
import os
import posixpath
import re
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

from kitlib.images import compression
from kitlib.images.build.ignore import Context, pattern
from kitlib.images.build.operations import Copy
from kitlib.images.errors import ImageError
from kitlib.images.layer import clean
from kitlib.images.layerwriter import Content, Entry, linked, of_file, of_text
from kitlib.images.merged import Merged

_URL_SECONDS = 60.0
_CLAUSE = re.compile(r"([ugoa]*)([-+=])([rwxXst]*)")


@dataclass(frozen=True)
class Source:
    """One thing to copy.  inside: its path below what was named ("" for the thing itself)."""

    name: str
    place: Path
    inside: str = ""
    tree: Merged | None = None  # what it is out of, if not out of the context
    path: str = ""              # there

    def entry(self, name: str) -> Entry:
        return of_file(self.place, name) if self.tree is None else self.tree.entry(self.path, self.place, name)


def sources(operation: Copy, context: Context, origin: Merged | None) -> list[list[Source]]:
    """For each source that was named, what it means: itself and, of a directory, all that is in it.

    Raises ImageError if one is not there.
    """
    found = []
    for wanted in operation.sources:
        matches = _in_tree(wanted, origin) if origin is not None else _in_context(wanted, context)
        if not matches and not re.search(r"[*?\[]", wanted):  # a pattern may match nothing
            where = "there" if origin is not None else "in the build context (or .dockerignore hides it)"
            raise ImageError(f"{wanted!r}: not found {where}")
        for group in matches:
            found.append([s for s in group if not _excluded(operation, s)])
    return found


def _excluded(operation: Copy, source: Source) -> bool:
    path = source.inside or posixpath.basename(source.name)
    return any(pattern(rule.lstrip("/")).fullmatch(path) for rule in operation.exclude)


def _in_context(wanted: str, context: Context) -> list[list[Source]]:
    groups = []
    for name in context.match(wanted):
        real = context.follow(name)
        if real is None:
            continue
        place = context.root / real if real else context.root
        group = [Source(name, place)]
        if place.is_dir():
            group += [Source(name, context.root / path, path[len(real):].lstrip("/")) for path in context.walk(real)]
        groups.append(group)
    return groups


def _in_tree(wanted: str, tree: Merged) -> list[list[Source]]:
    path = posixpath.normpath("/" + wanted).lstrip("/")
    if re.search(r"[*?\[]", path):
        rule = pattern(path)
        names = [name for name, _ in tree.walk("") if rule.fullmatch(name)]
    else:
        names = [path]
    groups = []
    for name in names:
        real = tree.resolve(name)  # what is named is followed, links below it are copied
        place = tree.find(real) if real else Path("/")
        if place is None:
            continue
        group = [Source(name, place, "", tree, real)]
        if place.is_dir() and not place.is_symlink():
            group += [Source(name, below, path[len(real):].lstrip("/"), tree, path) for path, below in tree.walk(real)]
        groups.append(group)
    return groups


def digest(groups: Iterable[Iterable[Source]]) -> dict[str, str]:
    """What the files are, for the cache: path → kind, mode and content; times and owners do not count."""
    found = {}
    for group in groups:
        for source in group:
            entry = source.entry("x")
            mark = f"{entry.kind.decode()}{entry.mode:o} {entry.link}"
            if entry.kind == tarfile.REGTYPE:
                with open(source.place, "rb") as file:
                    mark += hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") \
                        else hashlib.sha256(file.read()).hexdigest()
            found[posixpath.join(source.name, source.inside) if source.inside else source.name] = mark
    return found


def entries(operation: Copy, groups: list[list[Source]], target: Merged, owner: tuple[int, int], scratch: Path
            ) -> list[Entry]:
    """The new layer.  target: the image as it is; scratch: where a fetched file may lie."""
    made: dict[str, Entry] = {}
    links: dict[tuple[int, int], str] = {}
    ready: dict[str, Entry] = {}  # out of tars, which know owners of their own
    into_directory = operation.target.endswith("/") or operation.target == "/"
    place = target.resolve(operation.target)
    there = target.find(place)
    is_directory = into_directory or not place or (there is not None and there.is_dir())
    for group in groups:
        _copy_group(operation, group, place, is_directory, made, ready, target, scratch, links)
    for name, text in operation.texts:
        made[_join(place, name) if is_directory else place] = of_text("", text.encode())
    for url in operation.urls:
        file = _fetch(url, scratch, operation.checksum)
        base = posixpath.basename(url.split("?")[0].rstrip("/"))
        path = _join(place, base) if is_directory else place
        made[path] = replace(of_file(file, ""), mode=0o600)
    finished = [_finish(operation, entry.at(path), owner) for path, entry in made.items()]
    inside = _parents(list(ready.values()), target, owner, place)
    return list({entry.path: entry for entry in (*_parents(finished, target, owner), *inside, *ready.values(),
                                                 *finished)}.values())


def _copy_group(operation: Copy, group: list[Source], place: str, is_directory: bool, made: dict[str, Entry],
                ready: dict[str, Entry], target: Merged, scratch: Path, links: dict[tuple[int, int], str]) -> None:
    if not group:
        return
    first = group[0]
    whole = first.place.is_dir() and not first.place.is_symlink()
    if operation.unpack and not whole and _is_tar(first.place):
        ready.update((entry.path, entry) for entry in _unpacked(first.place, place, scratch))
        return
    if operation.parents:
        base = _join(place, posixpath.dirname(first.name) if not whole else first.name)
    else:
        base = place
    for source in group:
        if whole:
            path = _join(base, source.inside) if source.inside else base
            if not source.inside and (not path or path in made or target.is_directory(path)):
                continue  # it is there already, and stays as it is
        else:
            path = _join(base, posixpath.basename(first.name)) if is_directory or operation.parents else base
        try:
            entry = linked(source.entry(path), source.place, links)
        except ValueError:
            continue
        made[path] = entry if source.inside or not whole else replace(entry, mode=0o755, uid=0, gid=0)


def _join(base: str, name: str) -> str:
    return f"{base}/{name}".strip("/") if name else base


def _finish(operation: Copy, entry: Entry, owner: tuple[int, int]) -> Entry:
    mode = entry.mode
    if operation.mode and entry.kind != tarfile.SYMTYPE:
        mode = changed_mode(mode, operation.mode, directory=entry.kind == tarfile.DIRTYPE)
    if operation.node is None or operation.owner:
        entry = replace(entry, uid=owner[0], gid=owner[1])
    return replace(entry, mode=mode, xattrs=() if operation.node is None else entry.xattrs)


def with_parents(made: list[Entry], target: Merged) -> list[Entry]:
    """New directories, and those that the image has on their way."""
    return [*_parents(made, target, (0, 0)), *made]


def _parents(made: list[Entry], target: Merged, owner: tuple[int, int], root: str = "") -> Iterator[Entry]:
    """The directories on the way: those that the image has as they are, for a layer has to say so where layers are
    stacked, and new ones.  Their time is the first file's, so that it is always the same.  Below `root` (of a tar) new
    ones are root's."""
    known = {entry.path for entry in made}
    for entry in made:
        parent = posixpath.dirname(entry.path)
        while parent and parent not in known:
            known.add(parent)
            there = target.find(parent)
            if there is not None and there.is_dir():
                yield replace(target.entry(parent, there, parent), xattrs=())
            else:
                inside = root and parent.startswith(root + "/")
                yield Entry(parent, tarfile.DIRTYPE, 0o755, *((0, 0) if inside else owner), mtime=entry.mtime)
            parent = posixpath.dirname(parent)


def _is_tar(place: Path) -> bool:
    """Whether a file is a tar: plain, or compressed in a way that ADD knows."""
    if not place.is_file():
        return False
    try:
        with place.open("rb") as file:
            if compression.kind(file) == compression.ZSTD:
                with tarfile.open(fileobj=compression.plain(file), mode="r|") as tar:
                    return tar.next() is not None
        return tarfile.is_tarfile(place)
    except (tarfile.TarError, OSError, ImageError):
        return False
    except Exception as error:
        if not compression.is_broken(error):
            raise
        return False


def _opened(file: BinaryIO) -> tarfile.TarFile:
    if compression.kind(file) == compression.ZSTD:
        return tarfile.open(fileobj=compression.plain(file), mode="r|")
    return tarfile.open(fileobj=file, mode="r:*")


def _unpacked(place: Path, target: str, scratch: Path) -> Iterator[Entry]:
    """What is in a local tar that ADD extracts: owners and modes are the tar's; contents wait in `scratch`."""
    with place.open("rb") as file, _opened(file) as tar:
        for member in tar:
            path = _join(target, clean(member.name))
            if not path or not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
                continue
            link = member.linkname if member.issym() else ""
            if member.islnk():
                link = _join(target, clean(member.linkname))
            entry = Entry(path, tarfile.REGTYPE if member.isfile() else member.type, member.mode & 0o7777, member.uid,
                          member.gid, int(member.mtime), link=link)
            if member.isfile():
                copy = scratch / os.urandom(12).hex()
                with copy.open("wb") as out:
                    shutil.copyfileobj(cast(BinaryIO, tar.extractfile(member)), out, 1 << 20)
                entry = replace(entry, size=member.size, content=cast(Content, functools.partial(open, copy, "rb")))
            yield entry


def _fetch(url: str, scratch: Path, checksum: str) -> Path:
    import urllib.error
    import urllib.request

    place = scratch / hashlib.sha256(url.encode()).hexdigest()
    found = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=_URL_SECONDS) as answer, place.open("wb") as file:
            while piece := answer.read(1 << 20):
                found.update(piece)
                file.write(piece)
    except (OSError, ValueError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", error)
        words = (getattr(reason, "strerror", "") or str(reason)).lower()
        raise ImageError(f"failed to load cache key: Get {url!r}: {words}") from error
    if checksum and checksum != f"sha256:{found.hexdigest()}":
        raise ImageError(f"ADD {url}: its checksum is sha256:{found.hexdigest()}, not {checksum}")
    os.utime(place, (0, 0))
    return place


def changed_mode(mode: int, wanted: str, *, directory: bool) -> int:
    """0755, or u+x,go-w as chmod(1) has it."""
    if wanted.isdigit():
        return int(wanted, 8)
    for clause in wanted.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            continue
        who = match[1].replace("a", "ugo") or "ugo"
        bits = 0
        for letter in match[3]:
            if letter == "X" and not (directory or mode & 0o111):
                continue
            value = {"r": 4, "w": 2, "x": 1, "X": 1}.get(letter, 0)
            bits |= sum(value << {"u": 6, "g": 3, "o": 0}[each] for each in set(who))
            bits |= 0o4000 if letter == "s" and "u" in who else 0o2000 if letter == "s" else 0
            bits |= 0o1000 if letter == "t" else 0
        cleared = sum(7 << {"u": 6, "g": 3, "o": 0}[each] for each in set(who))
        mode = mode | bits if match[2] == "+" else mode & ~bits if match[2] == "-" else mode & ~cleared | bits
    return mode
