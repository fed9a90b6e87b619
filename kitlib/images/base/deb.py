"""Debian packages taken apart without dpkg and without root: the files they bring, and what dpkg remembers of them.

    name_1.2_amd64.deb (an `ar` archive)      control.tar.*   the package's fields and scripts
                                              data.tar.*      its files, with modes and owners

    or, where a package is only installed here: the files that dpkg lists of it, as they are

Paths are those of a system whose /bin and /lib are links into /usr (Debian's since version 12).

Source: deb(5), ar(5), dpkg-query(1); Debian policy, 10.1 (the merged /usr).
"""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from kitlib.images import compression
from kitlib.images.errors import ImageError
from kitlib.images.layer import clean
from kitlib.images.layerwriter import Entry, of_file

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_DATABASE = Path("/var/lib/dpkg/info")
# What Debian's own slim images leave out.
_LEFT_OUT = ("usr/share/doc/", "usr/share/man/", "usr/share/info/", "usr/share/locale/", "usr/share/lintian/",
             "usr/share/linda/", "usr/share/groff/", "usr/share/bug/", "usr/share/omf/")


@dataclass
class Package:
    """fields: its control paragraph; info: suffix → what dpkg keeps in /var/lib/dpkg/info."""

    name: str
    fields: str
    info: dict[str, bytes] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)

    def value(self, name: str) -> str:
        return next((line.partition(":")[2].strip() for line in self.fields.splitlines()
                     if line.startswith(f"{name}:")), "")

    @property
    def stem(self) -> str:
        """How its files in /var/lib/dpkg/info begin: packages that may be there for two machines say for which."""
        return f"{self.name}:{self.value('Architecture')}" if self.value("Multi-Arch") == "same" else self.name


def merged(path: str) -> str:
    """Where a path lies when /bin is a link to usr/bin."""
    return f"usr/{path}" if path.partition("/")[0] in MERGED else path


def is_wanted(path: str) -> bool:
    return not path.startswith(_LEFT_OUT) or path.endswith("/copyright")


def _pieces(file: BinaryIO, name: str) -> dict[str, tuple[int, int]]:
    """The members of an `ar` archive: name → where it begins, and its size."""
    if file.read(8) != b"!<arch>\n":
        raise ImageError(f"{name} is no Debian package")
    found = {}
    while len(head := file.read(60)) == 60:
        try:
            size = int(head[48:58])
        except ValueError as error:
            raise ImageError(f"{name} is damaged: its archive's header is none") from error
        found[head[:16].decode(errors="replace").strip().rstrip("/")] = (file.tell(), size)
        file.seek(size + size % 2, os.SEEK_CUR)
    return found


def read(path: Path, scratch: Path) -> Package:
    """A .deb; its files wait uncompressed in `scratch`.  Raises ImageError."""
    with path.open("rb") as file:
        found = _pieces(file, path.name)

        def tar(stem: str) -> tarfile.TarFile:
            name = next((each for each in found if each.startswith(f"{stem}.tar")), "")
            if not name:
                raise ImageError(f"{path.name} has no {stem}.tar")
            start, size = found[name]
            file.seek(start)
            packed = io.BytesIO(file.read(size))
            place = scratch / f"{path.stem}.{stem}.tar"
            with place.open("wb") as out:
                if name.endswith(".xz"):
                    out.write(lzma.decompress(packed.getbuffer()))
                else:
                    shutil.copyfileobj(compression.plain(packed), out, 1 << 20)
            return tarfile.open(place)

        try:
            with tar("control") as control:
                info = {m.name.removeprefix("./"): cast(BinaryIO, control.extractfile(m)).read()
                        for m in control if m.isfile()}
            with tar("data") as data:
                members = list(data)
        except (tarfile.TarError, lzma.LZMAError, OSError, EOFError) as error:
            raise ImageError(f"{path.name} is damaged: {error}") from error
    fields = info.pop("control").decode().strip()
    package = Package(_value(fields, "Package"), fields, info)
    listed = ["/" + clean(m.name) if clean(m.name) else "/." for m in members]
    package.info["list"] = "".join(f"{each}\n" for each in listed).encode()
    package.entries = list(_entries(members, scratch / f"{path.stem}.data.tar"))
    return package


def _value(fields: str, name: str) -> str:
    return Package("", fields).value(name)


def _entries(members: list[tarfile.TarInfo], place: Path) -> Iterator[Entry]:
    for member in members:
        path = merged(clean(member.name))
        if not path or not is_wanted(path) or path in (f"usr/{name}" for name in MERGED):
            continue
        link = merged(clean(member.linkname)) if member.islnk() else member.linkname if member.issym() else ""
        kind = tarfile.REGTYPE if member.isfile() else member.type
        yield Entry(path, kind, member.mode & 0o7777, member.uid, member.gid, int(member.mtime),
                    member.size if member.isfile() else 0, link,
                    content=_Part(place, member.offset_data, member.size) if member.isfile() else None)


@dataclass(frozen=True)
class _Part:
    """A file inside of an uncompressed tar."""

    place: Path
    start: int
    size: int

    def __call__(self) -> BinaryIO:
        with self.place.open("rb") as file:
            file.seek(self.start)
            return io.BytesIO(file.read(self.size))


def installed(name: str) -> Package:
    """The same of a package that is installed on this machine.  Raises ImageError."""
    fields, listed = _query("-s", name), _query("-L", name).splitlines()
    fields = "\n".join(_without_status(fields))
    package = Package(_value(fields, "Package"), fields)
    for stem in (package.stem, package.name):
        for place in _DATABASE.glob(f"{stem}.*"):
            if place.name.removeprefix(f"{stem}.") in ("md5sums", "conffiles", "shlibs", "symbols", "triggers",
                                                      "preinst", "postinst", "prerm", "postrm", "list"):
                package.info.setdefault(place.name.removeprefix(f"{stem}."), place.read_bytes())
    links: dict[tuple[int, int], str] = {}
    seen: set[str] = set()
    for line in listed:
        path = merged(line.strip("/"))
        place = Path("/", path)
        if path in ("", ".") or path in seen or not is_wanted(path) or not os.path.lexists(place) \
                or path in (f"usr/{each}" for each in MERGED):
            continue
        seen.add(path)
        found = os.lstat(place)
        entry = of_file(place, path)
        first = links.setdefault((found.st_dev, found.st_ino), path)
        if first != path and entry.kind == tarfile.REGTYPE:
            entry = Entry(path, tarfile.LNKTYPE, entry.mode, entry.uid, entry.gid, entry.mtime, link=first)
        package.entries.append(entry)
    return package


def _query(option: str, name: str) -> str:
    done = subprocess.run(["dpkg-query", option, name], capture_output=True, text=True, check=False,
                          env={**os.environ, "LC_ALL": "C.UTF-8"})
    if done.returncode:
        raise ImageError(f"the package {name} is not installed on this machine")
    return done.stdout


def _without_status(fields: str) -> Iterator[str]:
    inside = False
    for line in fields.strip().splitlines():
        inside = line.startswith("Conffiles:") or (inside and line.startswith(" "))
        if not inside and not line.startswith("Status:"):
            yield line


def paragraph(package: Package) -> str:
    """What /var/lib/dpkg/status says of it."""
    head, _, rest = package.fields.partition("\n")
    lines = [head, "Status: install ok installed", rest]
    by_path = {entry.path: entry for entry in package.entries}
    conffiles = []
    for name in package.info.get("conffiles", b"").decode().split():
        entry = by_path.get(merged(name.strip("/")))
        if entry is not None and entry.content is not None:
            with entry.content() as content:
                conffiles.append(f" {name} {hashlib.md5(content.read(), usedforsecurity=False).hexdigest()}")
    return "\n".join([*lines, *(["Conffiles:", *conffiles] if conffiles else [])]) + "\n"
