"""Images in files: what `docker save`, skopeo, buildah and others write, read into the store; and written again.

    docker-archive    a tar with manifest.json: [{Config, RepoTags, Layers}]       docker save | load
    OCI layout        a directory, or a tar of one, with index.json and blobs/     skopeo, buildkit, crane

What a file is, is told by what lies in it.  Every blob is checked against its digest (an OCI layout has them), every
layer against the config's diff_ids.

Source: OCI image-spec, image-layout.md; moby's image/tarexport (load.go, save.go).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import posixpath
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from kitlib.images import compression
from kitlib.images.descriptor import (
    INDEXES,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    pieces,
)
from kitlib.images.errors import ImageError
from kitlib.images.reference import familiar, parse
from kitlib.images.store import LARGEST_JSON, REF_NAME, ImageStore, StoredImage, choose, read_image

_FULL_NAME = ("io.containerd.image.name", REF_NAME)


class Files(Protocol):
    """The files of an archive, wherever they lie."""

    def open(self, name: str) -> BinaryIO:
        """Raises KeyError if there is none of that name."""
        ...


class _Directory:
    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, name: str) -> BinaryIO:
        try:
            return (self._root / name).open("rb")
        except (FileNotFoundError, IsADirectoryError) as error:
            raise KeyError(name) from error


class _Tar:
    """docker save before version 25 stored a layer that two images share once, and a link to it."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members = {posixpath.normpath(m.name): m for m in tar}

    def open(self, name: str) -> BinaryIO:
        name = posixpath.normpath(name)
        for _ in range(10):
            member = self._members[name]
            if not (member.issym() or member.islnk()):
                break
            base = posixpath.dirname(name) if member.issym() else ""
            name = posixpath.normpath(posixpath.join(base, member.linkname))
        stream = self._tar.extractfile(member)
        if stream is None:
            raise KeyError(name)
        return cast(BinaryIO, stream)


@contextlib.contextmanager
def _files(path: Path) -> Iterator[Files]:
    if path.is_dir():
        yield _Directory(path)
        return
    try:
        with path.open("rb") as file, _seekable(file) as plain, tarfile.open(fileobj=plain, mode="r:") as tar:
            yield _Tar(tar)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: there is no such file") from error
    except tarfile.ReadError as error:
        raise ImageError(f"{path} is neither an image archive (docker save, OCI) nor an OCI layout directory"
                         ) from error
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    except Exception as error:
        if not compression.is_broken(error):
            raise
        raise ImageError(f"{path} is damaged: {error}") from error


@contextlib.contextmanager
def _seekable(file: BinaryIO) -> Iterator[BinaryIO]:
    """An archive is read here and there: one that is compressed as a whole is unpacked first."""
    if compression.kind(file) == compression.PLAIN:
        yield file
        return
    with tempfile.TemporaryFile() as whole:
        shutil.copyfileobj(compression.plain(file), whole, 1 << 20)
        whole.seek(0)
        yield cast(BinaryIO, whole)


def load(store: ImageStore, path: Path, name: str = "") -> list[StoredImage]:
    """Take in all images of a file or directory.  name: instead of the names it gives.  Raises ImageError."""
    with _files(path) as files:
        index = _read_json(files, "index.json", optional=True)
        if index is not None:
            return _load_layout(store, files, index, name)
        entries = _read_json(files, "manifest.json", optional=True)
        if entries is None:
            raise ImageError("neither index.json (OCI) nor manifest.json (docker save) is in it")
        return _load_docker(store, files, entries, name)


def _read_json(files: Files, name: str, *, optional: bool = False) -> Any:
    try:
        with files.open(name) as stream:
            data = stream.read(LARGEST_JSON + 1)
    except KeyError as error:
        if optional:
            return None
        raise ImageError(f"{name} is missing") from error
    try:
        return json.loads(data)
    except ValueError as error:
        raise ImageError(f"{name} is no JSON: {error}") from error


# OCI.


def _load_layout(store: ImageStore, files: Files, index: Any, name: str) -> list[StoredImage]:
    entries = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ImageError("index.json lists no manifests")
    loaded = []
    for i, each in enumerate(entries):
        entry = Descriptor.parse(each, f"entry {i} of index.json")
        given = name or next((entry.annotations[key] for key in _FULL_NAME if entry.annotations.get(key)), "")
        full = parse(given) if given and ("/" in given or ":" in given or name) else None
        manifest = _copy_image(store, files, entry)
        store.tag(str(full) if full else "", manifest)
        loaded.append(read_image(store, str(full) if full else "", manifest))
    return loaded


def _copy_image(store: ImageStore, files: Files, entry: Descriptor) -> Descriptor:
    """Copy a manifest and what it names; of an index only what this machine can run."""
    _copy_blob(store, files, entry)
    document = json.loads(store.read(entry.digest))
    if entry.media_type in INDEXES or "manifests" in document:
        return _copy_image(store, files, choose(document, entry.digest))
    for i, each in enumerate((document.get("config"), *(document.get("layers") or ()))):
        where = f"layer {i} of manifest {entry.digest}" if i else f"the config of manifest {entry.digest}"
        _copy_blob(store, files, Descriptor.parse(each, where))
    image = read_image(store, "", entry)
    for i, (one, diff_id) in enumerate(zip(image.layers, image.diff_ids, strict=True)):
        _check_layer(store, one, diff_id, i)
    return Descriptor(entry.media_type or OCI_MANIFEST, entry.digest, entry.size)


def _copy_blob(store: ImageStore, files: Files, wanted: Descriptor) -> None:
    if store.has(wanted.digest):
        return
    place = f"blobs/{wanted.digest.replace(':', '/')}"
    try:
        with files.open(place) as stream:
            store.add(stream, wanted.media_type, wanted.digest)
    except KeyError as error:
        raise ImageError(f"{place} is missing") from error


def _check_layer(store: ImageStore, one: Descriptor, diff_id: str, number: int) -> None:
    """A compressed layer's digest says nothing about what is in it; the config's diff_id does."""
    with open(store.blob(one.digest), "rb") as file:
        if compression.kind(file) == compression.PLAIN:
            found = one.digest
        else:
            found = "sha256:" + _hash(compression.plain(file))
    if found != diff_id:
        raise ImageError(f"layer {number + 1} is {found}, but the config says {diff_id}")


def _hash(stream: BinaryIO) -> str:
    found = hashlib.sha256()
    for piece in pieces(stream):
        found.update(piece)
    return found.hexdigest()


# docker save.


def _load_docker(store: ImageStore, files: Files, entries: Any, name: str) -> list[StoredImage]:
    if not isinstance(entries, list) or not entries:
        raise ImageError("manifest.json lists no images")
    loaded = []
    for i, entry in enumerate(entries):
        where = f"image {i + 1} of manifest.json"
        if not isinstance(entry, dict) or not isinstance(entry.get("Config"), str):
            raise ImageError(f"{where} names no Config")
        settings = _read_json(files, entry["Config"])
        with files.open(entry["Config"]) as stream:
            config = store.add(stream, OCI_CONFIG)
        diff_ids = (settings.get("rootfs") or {}).get("diff_ids") or []
        names = entry.get("Layers") or []
        if len(names) != len(diff_ids):
            raise ImageError(f"{where} has {len(names)} layers, but its config knows {len(diff_ids)}")
        layers = [_docker_layer(store, files, each, diff_id, number)
                  for number, (each, diff_id) in enumerate(zip(names, diff_ids, strict=True))]
        manifest = store.write(manifest_of(config, layers), OCI_MANIFEST)
        tags = [name] if name else entry.get("RepoTags") or [""]
        for tag in tags:
            full = parse(tag) if tag else None
            store.tag(str(full) if full else "", manifest)
            loaded.append(read_image(store, str(full) if full else "", manifest))
    return loaded


def _docker_layer(store: ImageStore, files: Files, place: str, diff_id: str, number: int) -> Descriptor:
    if store.has(diff_id):
        return Descriptor(OCI_LAYER, diff_id, store.blob(diff_id).stat().st_size)
    try:
        with files.open(place) as stream:
            found = store.add(compression.plain(stream), OCI_LAYER)
    except KeyError as error:
        raise ImageError(f"layer {number + 1}, {place}, is missing") from error
    if found.digest != diff_id:
        raise ImageError(f"layer {number + 1} is {found.digest}, but the config says {diff_id}")
    return found


def manifest_of(config: Descriptor, layers: Sequence[Descriptor]) -> bytes:
    """An OCI manifest; the same parts always give the same bytes."""
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.json(),
                "layers": [one.json() for one in layers]}
    return json.dumps(document, separators=(",", ":")).encode()


# Writing.


def save(store: ImageStore, images: Sequence[StoredImage], out: BinaryIO) -> None:
    """One tar that is both: docker-archive and OCI layout (as Docker writes it since version 25); deterministic."""
    index = [{**image.manifest.json(), "annotations": {_FULL_NAME[0]: image.name,
                                                       REF_NAME: image.name.rpartition(":")[2]}}
             if image.name else image.manifest.json() for image in images]
    grouped: dict[str, dict[str, Any]] = {}
    for image in images:
        entry = grouped.setdefault(image.id, {"Config": _place(image.id), "RepoTags": [],
                                              "Layers": [_place(one.digest) for one in image.layers]})
        if image.name:
            entry["RepoTags"].append(familiar(image.name))
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        digests = {d.digest for image in images for d in (image.manifest, image.config_descriptor, *image.layers)}
        for digest in sorted(digests):
            info = tarfile.TarInfo(_place(digest))
            info.size, info.mode = store.blob(digest).stat().st_size, 0o644
            with open(store.blob(digest), "rb") as blob:
                tar.addfile(info, blob)
        _add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": index}).encode())
        _add(tar, "manifest.json", json.dumps(list(grouped.values())).encode())


def _place(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))
