"""The process that reads or writes a container's files from where they are: for cp and export.

    python -S -m kitlib.engine.containers.inside '{"how": …, "what": …}'

    how    join    enters the namespaces of a container that runs     {"pid", "user"}
           stack   mounts its layers for itself                       {"rw", "layers", "user", "binds"}
           view    the same, read-only                                {"place", "lowers", "user"}
           plain   they lie in a directory                            {"root", "binds"}
    what   stat, get, put, export

The first line of the answer is JSON: what was asked for, or {"status", "error"}; then a tar, if one was asked for.
Where it can, it makes the container's root its own, so that no link leads out of it.

Source: moby 20.10, daemon/archive.go (ResolvePath, StatPath, containerArchivePath, containerExtractToDir),
pkg/archive/copy.go (rebasing); Go's io/fs (FileMode).
"""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import stat
import sys
import tarfile
from collections.abc import Iterator
from typing import Any

from kitlib.runtime.inroot import follow, readlink
from kitlib.runtime.process import overlay, rootfs, syscalls
from kitlib.runtime.process.syscalls import MS_PRIVATE, MS_RDONLY, MS_REC, mount

Object = dict[str, Any]
_KIT = ".kit"  # where proot's first program is, in roots that are copies
_GO_BITS = ((stat.S_ISDIR, 1 << 31), (stat.S_ISLNK, 1 << 27), (stat.S_ISBLK, 1 << 26), (stat.S_ISFIFO, 1 << 25),
            (stat.S_ISSOCK, 1 << 24), (stat.S_ISCHR, 1 << 26 | 1 << 21))  # fmt: skip


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Files:
    """A container's files: `root` is "" where it is this process's own.  binds: (host path, container path)."""

    def __init__(self, root: str, binds: list[list[str]]) -> None:
        self.root, self._binds = root, {path: host for host, path in binds}

    def place(self, path: str) -> str:
        """Where a path without links lies for this process."""
        fitting = [one for one in self._binds if path == one or path.startswith(one + "/")]
        best = max(fitting, key=len, default="")
        return self._binds[best] + path[len(best):] if best else (self.root + path or "/")

    def resolve(self, path: str, *, last: bool = True) -> str:
        """With its links followed, as the container would."""
        return "/" + follow(path, lambda step: readlink(self.place(f"/{step}")), last=last)

    def find(self, path: str) -> tuple[str, str]:
        """(the path with the links of its directories followed, the name that the client knows it by)."""
        wanted = "/" + path.lstrip("/")
        ends = wanted.endswith(("/", "/."))
        resolved = self.resolve(wanted, last=ends)
        if not os.path.lexists(self.place(resolved)):
            raise Refused(404, f"Could not find the file {path} in container")
        if ends and not os.path.isdir(self.place(resolved)):
            raise Refused(400, f"not a directory: {path}")
        base = "." if wanted.endswith("/.") else posixpath.basename(wanted.rstrip("/")) or "/"
        return resolved, base


def enter(spec: Object) -> Files:
    how = spec["how"]
    if how == "plain":
        return Files(spec["root"], [entry[:2] for entry in spec["binds"]])
    outside = os.geteuid(), os.getegid()
    if how == "join":
        kinds = [("user", syscalls.CLONE_NEWUSER)] if spec["user"] else []
        fds = [os.open(f"/proc/{spec['pid']}/ns/{name}", os.O_RDONLY)
               for name, _ in (*kinds, ("mnt", syscalls.CLONE_NEWNS))]
        for fd in fds:
            syscalls.setns(fd)
        os.chdir("/")
        return Files("", [])
    syscalls.unshare(syscalls.CLONE_NEWNS | (syscalls.CLONE_NEWUSER if spec["user"] else 0))
    if spec["user"]:
        rootfs.map_user(*outside, 0, 0)
    mount("", "/", "", MS_REC | MS_PRIVATE)
    if how == "view":
        os.chdir(spec["place"])
        root = os.path.join(spec["place"], "rw", "root")
        os.makedirs(root, exist_ok=True)
        options = f"lowerdir={':'.join(spec['lowers'])}{',userxattr' * spec['user']}"
        mount("overlay", root, "overlay", MS_RDONLY, options)
    else:
        root = overlay.stack(spec["rw"], spec["layers"], user=spec["user"])
        for source, target, readonly in sorted(spec["binds"], key=lambda entry: str(entry[1]).count("/")):
            rootfs.bind(source, root + overlay.inside(root, target), readonly=readonly)
    os.chroot(root)
    os.chdir("/")
    return Files("", [])


def path_stat(files: Files, path: str, base: str) -> Object:
    """Docker's X-Docker-Container-Path-Stat."""
    found = os.lstat(files.place(path))
    mode = stat.S_IMODE(found.st_mode) & 0o777
    for test, bits in _GO_BITS:
        mode |= bits if test(found.st_mode) else 0
    for bit, go in ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20)):
        mode |= go if found.st_mode & bit else 0
    seconds, rest = divmod(found.st_mtime_ns, 1_000_000_000)
    return {"name": base, "size": found.st_size, "mode": mode, "seconds": seconds, "nanoseconds": rest,
            "linkTarget": files.resolve(path) if stat.S_ISLNK(found.st_mode) else ""}


def send(files: Files, path: str, base: str, *, whole: bool = False) -> None:
    """A tar of a path and all below it, whose first entry is called `base`."""
    links: dict[tuple[int, int], str] = {}
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name, place in _walk(files, path, "" if whole else base):
            if whole and name.split("/", 1)[0] == _KIT:
                continue
            info = _header(name, place, links)
            if info is None:
                continue
            if info.isreg():
                with open(place, "rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)


def _walk(files: Files, path: str, name: str) -> Iterator[tuple[str, str]]:
    place = files.place(path)
    if name:
        yield name, place
    if stat.S_ISDIR(os.lstat(place).st_mode):
        try:
            below = sorted(os.listdir(place))
        except OSError:
            return
        for each in below:
            yield from _walk(files, posixpath.join(path, each), posixpath.join(name, each))


def _header(name: str, place: str, links: dict[tuple[int, int], str]) -> tarfile.TarInfo | None:
    try:
        found = os.lstat(place)
    except OSError:  # it went meanwhile
        return None
    info = tarfile.TarInfo(name)
    info.mode, info.uid, info.gid = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
    if os.geteuid() and (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid()):
        info.uid = info.gid = 0  # what an ordinary user keeps for a container is root's in there
    info.mtime = found.st_mtime_ns / 1_000_000_000
    if stat.S_ISDIR(found.st_mode):
        info.type, info.name = tarfile.DIRTYPE, name.rstrip("/") + "/"
    elif stat.S_ISLNK(found.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(place)
    elif stat.S_ISREG(found.st_mode):
        first = links.setdefault((found.st_dev, found.st_ino), name) if found.st_nlink > 1 else name
        if first != name:
            info.type, info.linkname = tarfile.LNKTYPE, first
        else:
            info.size = found.st_size
    elif stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
        info.type = tarfile.CHRTYPE if stat.S_ISCHR(found.st_mode) else tarfile.BLKTYPE
        info.devmajor, info.devminor = os.major(found.st_rdev), os.minor(found.st_rdev)
    elif stat.S_ISFIFO(found.st_mode):
        info.type = tarfile.FIFOTYPE
    else:
        return None
    try:
        names = os.listxattr(place, follow_symlinks=False)
        info.pax_headers = {f"SCHILY.xattr.{key}": os.getxattr(place, key, follow_symlinks=False).decode(
            "utf-8", "surrogateescape") for key in names if key.startswith(("user.", "security.capability"))
            and not key.startswith("user.overlay")}
    except OSError:
        pass
    return info


def receive(files: Files, path: str, *, strict: bool) -> None:
    """Unpack the tar on standard input into a directory.  strict: no directory replaces a file, nor the reverse."""
    target = files.resolve(path)
    if not os.path.lexists(files.place(target)):
        raise Refused(404, f"Could not find the file {path} in container")
    if not os.path.isdir(files.place(target)):
        raise Refused(400, "extraction point is not a directory")
    directories: list[tuple[str, tarfile.TarInfo]] = []
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|*") as tar:
        for member in tar:
            parts = [part for part in member.name.split("/") if part not in ("", ".")]
            if ".." in parts:
                raise Refused(400, f"invalid path in archive: {member.name}")
            parent = files.resolve("/".join([target, *parts[:-1]]))
            place = files.place(posixpath.join(parent, parts[-1]) if parts else target)
            _extract(files, tar, member, place, strict=strict, target=target, named=bool(parts))
            if member.isdir():
                directories.append((place, member))
    for place, member in reversed(directories):
        os.utime(place, (member.mtime, member.mtime))


def _extract(files: Files, tar: tarfile.TarFile, member: tarfile.TarInfo, place: str, *, strict: bool,
             target: str, named: bool) -> None:
    there = os.lstat(place).st_mode if os.path.lexists(place) else 0
    if there and named:
        is_directory = stat.S_ISDIR(there)
        if strict and is_directory != member.isdir():
            what = ("directory", "non-directory") if is_directory else ("non-directory", "directory")
            raise Refused(400, f'cannot overwrite {what[0]} "{place}" with {what[1]} "{member.name}"')
        if not (is_directory and member.isdir()):
            shutil.rmtree(place) if is_directory else os.unlink(place)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    if member.isdir():
        os.makedirs(place, exist_ok=True)
    elif member.issym():
        os.symlink(member.linkname, place)
    elif member.islnk():
        os.link(files.place(files.resolve(posixpath.join(target, member.linkname))), place)
        return
    elif member.isreg():
        content = tar.extractfile(member)
        with open(place, "wb") as file:
            if content is not None:
                shutil.copyfileobj(content, file, 1 << 18)
    elif member.isfifo():
        os.mkfifo(place)
    else:
        os.mknod(place, member.mode | (stat.S_IFCHR if member.ischr() else stat.S_IFBLK),
                 os.makedev(member.devmajor, member.devminor))
    try:
        os.lchown(place, member.uid, member.gid)
    except OSError:  # an ordinary user's files are his
        pass
    if not member.issym():
        os.chmod(place, member.mode)
        os.utime(place, (member.mtime, member.mtime))


def main(argument: str) -> None:
    spec: Object = json.loads(argument)
    what, path = spec["what"], spec.get("path", "/")
    try:
        files = enter(spec)
        if what == "put":
            receive(files, path, strict=spec["strict"])
            answer({})
            return
        resolved, base = files.find(path)
        answer({} if what == "export" else path_stat(files, resolved, base))
        if what in ("get", "export"):
            send(files, resolved, base, whole=what == "export")
    except Refused as refused:
        answer({"status": refused.status, "error": refused.message})
    except tarfile.TarError as error:
        answer({"status": 400, "error": f"Error processing tar file: {error}"})
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else ""
        answer({"status": 500, "error": f"{where}: {(error.strerror or str(error)).lower()}".lstrip(": ")})


def answer(document: Object) -> None:
    sys.stdout.buffer.write(json.dumps(document).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1])
