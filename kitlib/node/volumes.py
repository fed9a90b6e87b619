"""Volumes on the node: every volume of a Pod becomes a directory (or file) of this machine, mounted into containers.

    emptyDir                        an empty directory that lives as long as the Pod; in memory, if it asks for it
    configMap secret downwardAPI    files, written anew when the object changes
    projected                       several of those in one directory, and the ServiceAccount's token
    hostPath                        a path of the machine
    persistentVolumeClaim           the hostPath or local path of the bound PersistentVolume

What the files contain is a pure function (`payload`); putting them on disk is `atomic_writer`'s.
Source: pkg/volume/{configmap,secret,projected,downwardapi,emptydir,hostpath}.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .atomic_writer import File, shows, write_files
from .env import ConfigSource, Facts, expand
from .fields import ConfigError, field_value, resource_value
from .memory_volumes import MemoryVolumes

Object = Mapping[str, Any]
DEFAULT_MODE = 0o644


class VolumeError(Exception):
    """A volume cannot be set up now: FailedMount with this sentence, and another try later."""


class VolumeSource(ConfigSource, Protocol):
    """Beyond ConfigMaps and Secrets: tokens and claims."""

    def service_account_token(self, namespace: str, account: str, pod: Object, projection: Object) -> str: ...

    def persistent_volume(self, namespace: str, claim: str) -> Object | None: ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """Where a volume is on this machine."""

    path: Path
    read_only: bool = False


def payload(pod: Object, volume: Object, source: VolumeSource, facts: Facts) -> dict[str, File] | None:
    """Relative path → content, for the volumes that are made of files; None for all others."""
    if "configMap" in volume:
        return _keys(pod, volume["configMap"], "configmap", volume["configMap"].get("name", ""), source)
    if "secret" in volume:
        return _keys(pod, volume["secret"], "secret", volume["secret"].get("secretName", ""), source)
    if "downwardAPI" in volume:
        spec = volume["downwardAPI"]
        return _downward(pod, spec.get("items") or (), spec.get("defaultMode", DEFAULT_MODE), facts)
    if "projected" in volume:
        return _projected(pod, volume["projected"], source, facts)
    return None


def _projected(pod: Object, spec: Object, source: VolumeSource, facts: Facts) -> dict[str, File]:
    files: dict[str, File] = {}
    mode = spec.get("defaultMode", DEFAULT_MODE)
    for part in spec.get("sources") or ():
        if "serviceAccountToken" in part:
            projection = part["serviceAccountToken"]
            account = pod["spec"].get("serviceAccountName") or "default"
            token = source.service_account_token(pod["metadata"]["namespace"], account, pod, projection)
            files[projection["path"]] = File(token.encode(), 0o600 if mode == 0o600 else mode)
        for kind, name in (("configMap", "configmap"), ("secret", "secret")):
            if kind in part:
                files |= _keys(pod, {"defaultMode": mode, **part[kind]}, name, part[kind].get("name", ""), source)
        if "downwardAPI" in part:
            files |= _downward(pod, part["downwardAPI"].get("items") or (), mode, facts)
    return files


def _keys(pod: Object, spec: Object, kind: str, name: str, source: VolumeSource) -> dict[str, File]:
    namespace = pod["metadata"]["namespace"]
    found = source.config_map(namespace, name) if kind == "configmap" else source.secret(namespace, name)
    optional = spec.get("optional", False)
    if found is None:
        if optional:
            return {}
        raise VolumeError(f'{kind} "{name}" not found')
    data = _bytes_of(found, kind)
    mode = spec.get("defaultMode", DEFAULT_MODE)
    if not spec.get("items"):
        return {key: File(value, mode) for key, value in data.items()}
    files: dict[str, File] = {}
    for item in spec["items"]:
        if item["key"] in data:
            files[item["path"]] = File(data[item["key"]], item.get("mode", mode))
        elif not optional:
            raise VolumeError(f"references non-existent {'config' if kind == 'configmap' else 'secret'} key: "
                              f"{item['key']}")
    return files


def _bytes_of(found: Object, kind: str) -> dict[str, bytes]:
    if kind == "secret":
        return {k: base64.b64decode(v) for k, v in (found.get("data") or {}).items()}
    texts = {k: v.encode() for k, v in (found.get("data") or {}).items()}
    return texts | {k: base64.b64decode(v) for k, v in (found.get("binaryData") or {}).items()}


def _downward(pod: Object, items: Any, mode: int, facts: Facts) -> dict[str, File]:
    files: dict[str, File] = {}
    for item in items:
        if "fieldRef" in item:
            text = field_value(pod, item["fieldRef"]["fieldPath"], facts.pod_ip, facts.host_ip)
        else:
            ref = item["resourceFieldRef"]
            every = (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"])
            container = next((c for c in every if c["name"] == ref.get("containerName")), None)
            if container is None:
                raise VolumeError(f"cannot find container {ref.get('containerName')!r} of a resourceFieldRef")
            text = resource_value(container, ref["resource"], ref.get("divisor", ""), facts.allocatable)
        files[item["path"]] = File(text.encode(), item.get("mode", mode))
    return files


class VolumeManager:
    """The volumes of one Pod, below its directory."""

    def __init__(self, directory: Path, source: VolumeSource, memory: MemoryVolumes | None = None) -> None:
        self._directory, self._source, self._memory = directory, source, memory
        self._written: dict[str, dict[str, File]] = {}

    def prepare(self, pod: Object, facts: Facts) -> dict[str, Prepared]:
        """Every volume of the Pod, ready to mount.  Raises VolumeError naming the first that is not."""
        result: dict[str, Prepared] = {}
        for volume in pod["spec"].get("volumes") or ():
            try:
                result[volume["name"]] = self._prepare(pod, volume, facts)
            except (VolumeError, ConfigError, OSError) as error:
                raise VolumeError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error
        return result

    def refresh(self, pod: Object, facts: Facts) -> bool:
        """Write changed files of configMap, secret, downwardAPI and projected volumes.  True if any changed."""
        changed = False
        for volume in pod["spec"].get("volumes") or ():
            if volume["name"] not in self._written:
                continue
            try:
                files = payload(pod, volume, self._source, facts)
            except (VolumeError, ConfigError, OSError):
                continue  # a deleted ConfigMap leaves the files of a running Pod as they were
            if files is not None and files != self._written[volume["name"]]:
                self._write(volume["name"], files)
                changed = True
        return changed

    def _prepare(self, pod: Object, volume: Object, facts: Facts) -> Prepared:
        name = volume["name"]
        if name in self._written:
            return Prepared(self._place("files", name), True)
        files = payload(pod, volume, self._source, facts)
        if files is not None:
            self._write(name, files)
            return Prepared(self._place("files", name), True)
        if "hostPath" in volume:
            return Prepared(_host_path(volume["hostPath"]))
        if "persistentVolumeClaim" in volume:
            return self._claim(pod, volume["persistentVolumeClaim"])
        if "emptyDir" in volume or "ephemeral" in volume or set(volume) == {"name"}:
            place = self._in_memory(pod, volume) or self._place("empty-dir", name)
            place.mkdir(parents=True, exist_ok=True)
            place.chmod(0o777)  # whichever user a container runs as
            return Prepared(place)
        kind = next(k for k in volume if k != "name")
        raise VolumeError(f"volumes of type {kind} are not available on this node")

    def _in_memory(self, pod: Object, volume: Object) -> Path | None:
        if self._memory is None or (volume.get("emptyDir") or {}).get("medium") != "Memory":
            return None
        return self._memory.prepare(pod["metadata"]["uid"], volume["name"])

    def _claim(self, pod: Object, spec: Object) -> Prepared:
        claim = spec["claimName"]
        found = self._source.persistent_volume(pod["metadata"]["namespace"], claim)
        if found is None:
            raise VolumeError(f'persistentvolumeclaim "{claim}" is not bound')
        local = found["spec"].get("hostPath") or found["spec"].get("local")
        if local is None:
            raise VolumeError(f"persistentvolume {found['metadata']['name']} is neither hostPath nor local")
        path = Path(local["path"])
        path.mkdir(parents=True, exist_ok=True)
        return Prepared(path, bool(spec.get("readOnly")))

    def _write(self, name: str, files: dict[str, File]) -> None:
        if not shows(self._place("files", name), files):
            write_files(self._place("files", name), files)
        self._written[name] = files

    def _place(self, kind: str, name: str) -> Path:
        return self._directory / "volumes" / kind / name


def _host_path(spec: Object) -> Path:
    path, kind = Path(spec["path"]), spec.get("type", "")
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    elif kind == "FileOrCreate":
        path.touch()
    checks: dict[str, Callable[[], bool]] = {
        "Directory": path.is_dir, "File": path.is_file, "Socket": path.is_socket,
        "CharDevice": path.is_char_device, "BlockDevice": path.is_block_device}
    if kind in checks and not checks[kind]():
        raise VolumeError(f"hostPath type check failed: {path} is not a {kind.lower()}")
    return path


def mount_path(prepared: Prepared, mount: Object, env: Mapping[str, str], pin: Path | None = None) -> Path:
    """What of the volume is mounted: all of it, or a subPath (made if missing).

    A file of a ConfigMap or the like that is mounted by a subPath stays as it was when the container started, since a
    mount holds on to a file, not to its name.  Where containers have no mounts of their own nothing would hold on to it
    when the volume is written anew; so it gets a second name, `pin`, and that is what is mounted.
    """
    sub = mount.get("subPath") or expand(mount.get("subPathExpr", ""), env)
    if not sub:
        return prepared.path
    if ".." in Path(sub).parts or Path(sub).is_absolute():
        raise ConfigError(f"subPath {sub} must stay inside of its volume")
    path = prepared.path / sub
    if not path.exists():
        path.mkdir(parents=True, exist_ok=True)
    if pin is None or not (path.is_file() and (prepared.path / "..data").is_symlink()):
        return path
    pin.parent.mkdir(parents=True, exist_ok=True)
    pin.unlink(missing_ok=True)  # an earlier container's: whoever still has it open keeps it
    os.link(path.resolve(), pin)
    return pin
