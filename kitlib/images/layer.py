"""A layer is a tar of what changed: files to add, and whiteouts for what to remove.

    etc/nginx/nginx.conf          added or replaced
    etc/.wh.motd                  /etc/motd of the layers below is gone
    var/cache/.wh..wh..opq        of the layers below nothing in /var/cache is left

`apply` puts one on top of what a directory holds; with Whiteouts.OVERLAY it writes the marks that the kernel's
overlayfs understands instead of removing.  Layers come from anywhere, so no entry may reach outside of the directory,
whatever its name, and whatever links the layers below have left there.

Source: OCI image-spec, layer.md; Linux, Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import shutil
import stat
import tarfile
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from kitlib.images import compression, owners
from kitlib.images.errors import ImageError
from kitlib.runtime import inroot

PREFIX, OPAQUE = ".wh.", ".wh..wh..opq"
MOST_ENTRIES, MOST_BYTES = 2_000_000, 64 << 30
_XATTR = "SCHILY.xattr."
_DEVICES = (tarfile.CHRTYPE, tarfile.BLKTYPE)


class Whiteouts(Enum):
    REMOVE = "remove"    # one directory holds all layers
    OVERLAY = "overlay"  # a directory per layer, which overlayfs stacks (needs root)
    USER = "user"        # the same for an ordinary user's overlayfs (mount option userxattr)


def clean(name: str) -> str:
    """An entry's path without ./ and slashes at its ends.  Raises ImageError if it leads out of the layer."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ImageError(f"entry {name!r} leads out of the image")
    if any(len(os.fsencode(part)) > 255 for part in parts) or "\0" in name:
        raise ImageError(f"entry {name[:60]!r}… has a name that no file system takes")
    return "/".join(parts)


def apply(stream: BinaryIO, target: Path, whiteouts: Whiteouts = Whiteouts.REMOVE,
          whose: owners.Owners | None = None) -> None:
    """Extract a layer (plain or compressed) onto a directory.  Raises ImageError; then some of it may be there.

    whose: is brought up to date with who owns what, where that cannot be seen of the files.
    """
    work = _Application(target, whiteouts, {} if whose is None else whose)
    try:
        with tarfile.open(fileobj=compression.plain(stream), mode="r|", errorlevel=1) as tar:
            for member in tar:
                work.add(tar, member)
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep two million of them
        work.finish()
    except ImageError:
        raise
    except (tarfile.TarError, OSError, ValueError, RecursionError) as error:
        raise ImageError(f"the layer cannot be unpacked: {error}") from error
    except Exception as error:
        if not compression.is_broken(error):
            raise
        raise ImageError(f"the layer is damaged: {error}") from error


class _Application:
    """One layer being extracted."""

    def __init__(self, target: Path, whiteouts: Whiteouts, whose: owners.Owners) -> None:
        self._root, self._whiteouts, self._whose = str(target), whiteouts, whose
        self._privileged = os.geteuid() == 0
        self._mine: set[str] = set()  # paths of this very layer: a whiteout means those below
        self._times: list[tuple[str, float]] = []  # directories, whose times change while they are filled
        self._entries = self._bytes = 0
        os.makedirs(target, exist_ok=True)

    def add(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self._entries += 1
        self._bytes += max(0, member.size)
        if self._entries > MOST_ENTRIES or self._bytes > MOST_BYTES:
            raise ImageError(f"the layer has more than {MOST_ENTRIES} entries or {MOST_BYTES >> 30} GiB")
        path = clean(member.name)
        directory, name = posixpath.split(path)
        if name.startswith(PREFIX):
            self._white_out(directory, name)
            return
        if not path:
            self._finish_entry(self._root, member)
            return
        parent = self._directory(directory)
        place = f"{parent}/{name}"
        self._make(tar, member, place)
        self._mine.add(place)

    def _make(self, tar: tarfile.TarFile, member: tarfile.TarInfo, place: str) -> None:
        there = os.lstat(place) if os.path.lexists(place) else None
        if there is not None and not (member.isdir() and stat.S_ISDIR(there.st_mode)):
            _remove(place)
        if member.isdir():
            if there is None or not stat.S_ISDIR(there.st_mode):
                os.mkdir(place)
        elif member.isfile():
            self._write(tar, member, place)
        elif member.issym():
            os.symlink(member.linkname, place)
        elif member.islnk():
            self._link(member, place)
            return  # the same file: owner, mode and times are its own already
        elif member.type in _DEVICES:
            if not self._privileged:
                return  # an ordinary user cannot make one, and no program of an image needs it
            kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
            os.mknod(place, kind | member.mode & 0o7777, os.makedev(member.devmajor, member.devminor))
        elif member.isfifo():
            os.mkfifo(place)
        else:
            return  # sockets and the like are nothing that an image can hold
        self._finish_entry(place, member)

    @staticmethod
    def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, place: str) -> None:
        source = tar.extractfile(member)
        assert source is not None
        with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)

    def _link(self, member: tarfile.TarInfo, place: str) -> None:
        directory, name = posixpath.split(clean(member.linkname))
        source = f"{self._inside(directory)}/{name}"
        if not os.path.lexists(source) or (os.path.isdir(source) and not os.path.islink(source)):
            raise ImageError(f"entry {member.name!r} is a hard link to {member.linkname!r}, which is no file here")
        os.link(source, place, follow_symlinks=False)
        owners.link(self._whose, source[len(self._root) + 1:], place[len(self._root) + 1:])

    def _finish_entry(self, place: str, member: tarfile.TarInfo) -> None:
        if self._privileged:
            os.lchown(place, member.uid, member.gid)
        else:
            owners.remember(self._whose, place[len(self._root) + 1:], member.uid, member.gid, member.mode & 0o7777,
                            kind=os.lstat(place).st_mode)
        for key, value in member.pax_headers.items():
            if key.startswith(_XATTR):
                with contextlib.suppress(OSError):  # security.* is root's; another file system may know none
                    os.setxattr(place, key[len(_XATTR):], os.fsencode(value), follow_symlinks=False)
        if member.issym():
            os.utime(place, (member.mtime, member.mtime), follow_symlinks=False)
            return
        mode = member.mode & 0o7777
        # Without root we must be able to read and to fill what we have made.
        os.chmod(place, mode if self._privileged else owners.kept_mode(mode, directory=member.isdir()))
        if member.isdir():
            self._times.append((place, member.mtime))
        else:
            os.utime(place, (member.mtime, member.mtime))

    def finish(self) -> None:
        for place, mtime in reversed(self._times):
            with contextlib.suppress(FileNotFoundError):  # whited out later in the same layer
                os.utime(place, (mtime, mtime))

    # What is not to be seen any more.

    def _white_out(self, directory: str, name: str) -> None:
        parent = self._inside(directory)
        overlay = self._whiteouts is not Whiteouts.REMOVE
        if name == OPAQUE:
            parent = self._directory(directory)
            if overlay:
                kind = "trusted" if self._whiteouts is Whiteouts.OVERLAY else "user"
                os.setxattr(parent, f"{kind}.overlay.opaque", b"y")
            else:
                self._empty(parent)
            return
        place = f"{parent}/{name.removeprefix(PREFIX)}"
        if name in (PREFIX, f"{PREFIX}.", f"{PREFIX}.."):
            raise ImageError(f"entry {posixpath.join(directory, name)!r} would remove the directory it lies in")
        if place in self._mine:
            return
        if overlay:
            self._directory(directory)
            os.mknod(place, stat.S_IFCHR, os.makedev(0, 0))
        elif os.path.lexists(place):
            owners.forget(self._whose, place[len(self._root) + 1:])
            _remove(place)

    def _empty(self, directory: str) -> None:
        """Remove what layers below have put there, and keep what this one has."""
        for entry in os.scandir(directory):
            if entry.path not in self._mine and not any(m.startswith(entry.path + "/") for m in self._mine):
                _remove(entry.path)
            elif entry.is_dir(follow_symlinks=False) and entry.path not in self._mine:
                self._empty(entry.path)

    def _directory(self, path: str) -> str:
        """The same, made; what stood in the way was a file of a layer below."""
        found = self._inside(path)
        place = self._root
        for part in found[len(self._root):].split("/"):
            place = f"{place}/{part}" if part else place
            if not os.path.isdir(place):
                if os.path.lexists(place):
                    os.unlink(place)
                os.mkdir(place, 0o755)
        return found

    def _inside(self, path: str) -> str:
        """Where a directory of the image lies: symbolic links on the way lead where they lead *in the image*."""
        try:
            found = inroot.follow(path, lambda step: inroot.readlink(f"{self._root}/{step}"))
        except OSError as error:
            raise ImageError(f"entry below {path!r} goes through a circle of links") from error
        return f"{self._root}/{found}" if found else self._root


def _remove(place: str) -> None:
    if os.path.isdir(place) and not os.path.islink(place):
        shutil.rmtree(place)
    else:
        os.unlink(place)
