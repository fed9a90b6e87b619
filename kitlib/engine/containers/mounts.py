"""What a container mounts: -v, --mount, --tmpfs, VOLUME and --volumes-from become Docker's MountPoints.

    {"Type": "volume", "Name", "Source", "Destination", "Driver", "Mode", "RW", "Propagation"}

A volume that is still empty gets what the image has at that place.

Source: moby 20.10, volume/mounts/linux_parser.go, daemon/volumes.go (registerMountPoints), daemon/create_unix.go.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.engine.errors import bad_request
from kitlib.images.merged import Merged

if TYPE_CHECKING:
    from kitlib.engine.containers.record import Container
    from kitlib.engine.volumes import Volumes

Object = dict[str, Any]
_MODES = re.compile(r"ro|rw|z|Z|nocopy|[rs]?(shared|slave|private)|consistent|cached|delegated")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


def bind(text: str) -> Object:
    """/host:/inside:ro, name:/inside, /inside.  Raises EngineError(400) in Docker's words."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise bad_request(f"invalid volume specification: '{text}'")
    source, target, mode = ("", parts[0], "") if len(parts) == 1 else (*parts, "")[:3]
    for word in mode.split(",") if mode else ():
        if not _MODES.fullmatch(word):
            raise bad_request(f"invalid mode: {mode}")
    if not target.startswith("/"):
        raise bad_request(f"invalid volume specification: '{text}': invalid mount config for type "
                          f"\"{'bind' if source.startswith('/') else 'volume'}\": invalid mount path: '{target}' mount "
                          "path must be absolute")  # fmt: skip
    target = posixpath.normpath(target)
    if target == "/":
        raise bad_request(f"invalid volume specification: '{text}': invalid mount config for type "
                          f"\"{'bind' if source.startswith('/') else 'volume'}\": invalid specification: destination "
                          "can't be '/'")  # fmt: skip
    words = mode.split(",") if mode else []
    readonly = "ro" in words
    if source.startswith("/"):
        return {"Type": "bind", "Source": posixpath.normpath(source), "Destination": target, "Mode": mode,
                "RW": not readonly, "Propagation": next((w for w in words if "shared" in w or "slave" in w
                                                         or "private" in w), "rprivate")}  # fmt: skip
    if source and not _NAME.fullmatch(source):
        raise bad_request(f'create {source}: "{source}" includes invalid characters for a local volume name, only '
                          '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use '
                          "absolute path")
    return {"Type": "volume", "Name": source, "Source": "", "Destination": target, "Driver": "local",
            "Mode": mode or "z", "RW": not readonly, "Propagation": "", "nocopy": "nocopy" in words}


def described(entry: Object) -> Object:
    """The same of --mount's form (HostConfig.Mounts)."""
    kind, target = entry.get("Type") or "", entry.get("Target") or ""
    where = f'invalid mount config for type "{kind}": '
    if kind not in ("bind", "volume", "tmpfs"):
        raise bad_request(f"mount type unknown: {kind!r}")
    if not target:
        raise bad_request(where + "field Target must not be empty")
    if not target.startswith("/"):
        raise bad_request(f"{where}invalid mount path: '{target}' mount path must be absolute")
    target, readonly, source = posixpath.normpath(target), bool(entry.get("ReadOnly")), entry.get("Source") or ""
    if kind == "bind":
        if not source:
            raise bad_request(where + "field Source must not be empty")
        if not os.path.exists(source):
            raise bad_request(f"{where}bind source path does not exist: {source}")
        return {"Type": "bind", "Source": source, "Destination": target, "Mode": "", "RW": not readonly,
                "Propagation": (entry.get("BindOptions") or {}).get("Propagation") or "rprivate"}
    if kind == "tmpfs":
        if source:
            raise bad_request(where + "field Source must not be specified")
        options = entry.get("TmpfsOptions") or {}
        words = [*([f"size={options['SizeBytes']}"] if options.get("SizeBytes") else []),
                 *([f"mode={options['Mode']:o}"] if options.get("Mode") else []), *(["ro"] if readonly else [])]
        return {"Type": "tmpfs", "Source": "", "Destination": target, "Mode": "", "RW": not readonly, "Propagation": "",
                "options": ",".join(words)}  # fmt: skip
    options = entry.get("VolumeOptions") or {}
    return {"Type": "volume", "Name": source, "Source": "", "Destination": target, "Driver": "local", "Mode": "z",
            "RW": not readonly, "Propagation": "", "nocopy": bool(options.get("NoCopy")),
            "labels": options.get("Labels") or {}}  # fmt: skip


def collect(config: Object, host: Object, others: Sequence[tuple[Container, str]]) -> list[Object]:
    """All mounts of a new container, none of them made yet.  others: whose volumes it wants, and how (ro, rw).

    Raises EngineError(400).
    """
    found: dict[str, Object] = {}
    for other, mode in others:
        for one in other.mounts:
            found[one["Destination"]] = {**one, "RW": one["RW"] and mode != "ro"}
    own: set[str] = set()
    for point in (*map(bind, host.get("Binds") or ()), *map(described, host.get("Mounts") or ())):
        if point["Destination"] in own:
            raise bad_request(f"Duplicate mount point: {point['Destination']}")
        own.add(point["Destination"])
        found[point["Destination"]] = point
    for target in host.get("Tmpfs") or ():
        if posixpath.normpath(target) in own:
            raise bad_request(f"Duplicate mount point: {posixpath.normpath(target)}")
        found.pop(posixpath.normpath(target), None)
    for target in config.get("Volumes") or ():
        place = posixpath.normpath(target)
        if place not in found and place not in (host.get("Tmpfs") or ()):
            if not place.startswith("/"):
                raise bad_request(f"invalid volume specification: '{target}'")
            found[place] = {"Type": "volume", "Name": "", "Source": "", "Destination": place, "Driver": "local",
                            "Mode": "", "RW": True, "Propagation": ""}
    return list(found.values())


def make(points: Sequence[Object], volumes: Volumes, image: Merged) -> None:
    """Volumes and directories that have to be there; what the image has is copied into empty volumes."""
    for point in points:
        if point["Type"] == "bind" and not os.path.exists(point["Source"]):
            try:
                os.makedirs(point["Source"])
            except OSError as error:
                raise bad_request(f"error while creating mount source path '{point['Source']}': mkdir "
                                  f"{error.filename}: {(error.strerror or '').lower()}") from error
        if point["Type"] == "volume":
            anonymous = not point["Name"]
            volume = volumes.ensure(point["Name"], labels=point.pop("labels", {}), anonymous=anonymous)
            point["Name"], point["Source"] = volume["Name"], volume["Mountpoint"]
            if not point.pop("nocopy", False):
                copy_up(image, point["Destination"], Path(point["Source"]))


def volumes_from(host: Object, find: Any) -> list[tuple[Container, str]]:
    """HostConfig.VolumesFrom: names, with :ro or :rw."""
    found = []
    for text in host.get("VolumesFrom") or ():
        name, _, mode = text.partition(":")
        if mode not in ("", "ro", "rw", "z", "Z"):
            raise bad_request(f"invalid mode for volumes-from: {mode}")
        try:
            found.append((find(name), mode))
        except Exception as error:
            raise bad_request(f"No such container: {name}") from error
    return found


def copy_up(image: Merged, target: str, place: Path) -> None:
    """What is in the image at `target` goes into a volume that is empty."""
    path = image.resolve(target)
    source = image.find(path)
    if source is None or not source.is_dir() or any(place.iterdir()):
        return
    _like(source, place)
    for below, there in image.walk(path):
        copy = place / os.path.relpath(below, path or ".")
        mode = os.lstat(there).st_mode
        if stat.S_ISDIR(mode):
            copy.mkdir()
        elif stat.S_ISLNK(mode):
            copy.symlink_to(os.readlink(there))
        elif stat.S_ISREG(mode):
            shutil.copyfile(there, copy)
        else:
            continue
        _like(there, copy)


def _like(source: Path, copy: Path) -> None:
    found = os.lstat(source)
    if os.geteuid() == 0:
        os.lchown(copy, found.st_uid, found.st_gid)
    if not copy.is_symlink():
        os.chmod(copy, stat.S_IMODE(found.st_mode))
        os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))
