"""Where an image's layers lie, without copying anything: in an archive, in an OCI layout, in the store.

    app.tar          docker save, or an OCI layout as a tar; app.tar:NAME of several images
    layout/          an OCI layout; layout/:NAME
    ImageStore       an image that it has

Manifests and configs are checked against their digests; layers only by `verify`, since reading all of them is what
takes long.

Source: OCI image-spec, image-layout.md; moby's image/tarexport (load.go).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import posixpath
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kitlib.images import compression
from kitlib.images.descriptor import INDEXES, MANIFESTS, Descriptor, digest_of, pieces
from kitlib.images.errors import ImageError
from kitlib.images.explorer import scan
from kitlib.images.explorer.source import Place, kind_of, opened, part, unpacked
from kitlib.images.reference import familiar, parse
from kitlib.images.store import LARGEST_JSON, REF_NAME, ImageStore, StoredImage, choose

_NAMES = ("io.containerd.image.name", REF_NAME)
_LINKS = 10


@dataclass(frozen=True)
class PlacedImage:
    """names: all that it has there; layers: (descriptor, where it lies), the lowest first."""

    names: tuple[str, ...]
    id: str
    config: Mapping[str, Any]
    layers: tuple[tuple[Descriptor, Place], ...]

    @property
    def name(self) -> str:
        return self.names[0] if self.names else ""

    @property
    def diff_ids(self) -> tuple[str, ...]:
        return tuple(self.config["rootfs"]["diff_ids"])


class _Files(Protocol):
    def place(self, name: str) -> Place:
        """Raises KeyError if there is no such file."""
        ...


class _Directory:
    def __init__(self, root: Path) -> None:
        self._root = root

    def place(self, name: str) -> Place:
        path = (self._root / name).resolve()
        if not path.is_relative_to(self._root.resolve()) or not path.is_file():  # nothing outside, and no pipe
            raise KeyError(name)
        return Place(path, 0, path.stat().st_size)


class _Archive:
    """docker save before version 25 stored a layer that two images share once, and a link to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with opened(Place(path, 0, path.stat().st_size)) as source:
                self._members = {file.path: file for file in scan.entries(source)}
        except ImageError as error:
            raise ImageError(f"{path} is neither an image archive (docker save, OCI) nor an OCI layout directory: "
                             f"{error}") from error

    def place(self, name: str) -> Place:
        name = posixpath.normpath(name)
        for _ in range(_LINKS):
            found = self._members[name]
            if found.kind == scan.FILE and found.offset >= 0:
                return Place(self._path, found.offset, found.size)
            base = posixpath.dirname(name) if found.kind == scan.LINK else ""
            name = posixpath.normpath(posixpath.join(base, found.link))
        raise KeyError(name)


@contextlib.contextmanager
def images(path: Path) -> Iterator[list[PlacedImage]]:
    """All images of an archive or a layout, while it is open.  Raises ImageError."""
    if path.is_dir():
        yield _read(_Directory(path), path)
        return
    if path.exists() and not path.is_file():
        raise ImageError(f"{path} is no file that could be read here and there")
    try:
        with path.open("rb") as file:
            packed = compression.kind(file) != compression.PLAIN
            if not packed:
                yield _read(_Archive(path), path)
                return
            with tempfile.NamedTemporaryFile(prefix="kit-layers-") as whole:  # it is read here and there
                shutil.copyfileobj(compression.plain(file), whole, 1 << 20)
                whole.flush()
                yield _read(_Archive(Path(whole.name)), path)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: there is no such file") from error
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error}") from error
    except EOFError as error:
        raise ImageError(f"{path} is damaged: {error}") from error
    except Exception as error:
        if not compression.is_broken(error):
            raise
        raise ImageError(f"{path} is damaged: {error}") from error


def _read(files: _Files, path: Path) -> list[PlacedImage]:
    try:
        index = _json(files, "index.json", optional=True)
        if index is not None:
            return list(_layout(files, index))
        entries = _json(files, "manifest.json", optional=True)
        if entries is None:
            raise ImageError("neither index.json (OCI) nor manifest.json (docker save) is in it")
        return list(_docker(files, entries))
    except ImageError as error:
        raise ImageError(str(error) if str(path) in str(error) else f"{path}: {error}") from error


def _bytes(files: _Files, name: str) -> bytes:
    place = files.place(name)
    if place.size > LARGEST_JSON:
        raise ImageError(f"{name} is too large for a manifest or config")
    with open(place.path, "rb") as file:
        file.seek(place.offset)
        return file.read(place.size)


def _json(files: _Files, name: str, digest: str = "", *, optional: bool = False) -> Any:
    try:
        data = _bytes(files, name)
    except KeyError as error:
        if optional:
            return None
        raise ImageError(f"{name} is missing") from error
    if digest and digest_of(data) != digest:
        raise ImageError(f"{name} is damaged: its digest is {digest_of(data)}")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{name} is no JSON: {error}") from error


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _layout(files: _Files, index: Any) -> Iterator[PlacedImage]:
    entries = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ImageError("index.json lists no manifests")
    for i, each in enumerate(entries):
        entry = Descriptor.parse(each, f"entry {i} of index.json")
        names = dict.fromkeys(str(entry.annotations[key]) for key in _NAMES if entry.annotations.get(key))
        yield _image(files, entry, tuple(names))


def _image(files: _Files, entry: Descriptor, names: tuple[str, ...]) -> PlacedImage:
    document = _object(_json(files, _blob(entry.digest), entry.digest), f"manifest {entry.digest}")
    kind = document.get("mediaType") or entry.media_type
    if kind in INDEXES or "manifests" in document:
        return _image(files, choose(document, (*names, entry.digest)[0]), names)
    if kind and kind not in MANIFESTS:
        raise ImageError(f"{(*names, entry.digest)[0]} is {kind}, which is no image")
    config = Descriptor.parse(document.get("config"), f"the config of manifest {entry.digest}")
    layers = [Descriptor.parse(each, f"layer {i} of manifest {entry.digest}")
              for i, each in enumerate(document.get("layers") or (), 1)]
    places = []
    for number, one in enumerate(layers, 1):
        places.append((one, _layer_place(files, _blob(one.digest), number)))
    settings = _json(files, _blob(config.digest), config.digest)
    return PlacedImage(names, config.digest, _config(settings, len(layers), f"manifest {entry.digest}"), tuple(places))


def _docker(files: _Files, entries: Any) -> Iterator[PlacedImage]:
    if not isinstance(entries, list) or not entries:
        raise ImageError("manifest.json lists no images")
    for i, entry in enumerate(entries, 1):
        where = f"image {i} of manifest.json"
        if not isinstance(entry, dict) or not isinstance(entry.get("Config"), str):
            raise ImageError(f"{where} names no Config")
        names = [name for name in entry.get("Layers") or () if isinstance(name, str)]
        config = _config(_json(files, entry["Config"]), len(names), where)
        places = [_layer_place(files, name, number) for number, name in enumerate(names, 1)]
        layers = [(Descriptor("", diff_id, place.size), place)
                  for diff_id, place in zip(config["rootfs"]["diff_ids"], places, strict=True)]
        image_id = digest_of(_bytes(files, entry["Config"]))
        yield PlacedImage(tuple(map(str, entry.get("RepoTags") or ())), image_id, config, tuple(layers))


def _layer_place(files: _Files, name: str, number: int) -> Place:
    try:
        return files.place(name)
    except KeyError as error:
        raise ImageError(f"layer {number}, {name}, is missing") from error


def _object(found: Any, where: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ImageError(f"{where} is no JSON object")
    return found


def _config(found: Any, layers: int, where: str) -> dict[str, Any]:
    """A config whose parts have the types that they are used with."""
    config = _object(found, f"the config of {where}")
    rootfs, settings, history = config.get("rootfs") or {}, config.get("config") or {}, config.get("history") or []
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or len(diff_ids) != layers:
        known = len(diff_ids) if isinstance(diff_ids, list) else 0
        raise ImageError(f"{where} has {layers} layers, but its config knows {known}")
    if not isinstance(settings, dict) or not isinstance(history, list) or not all(
            isinstance(line, dict) for line in history):
        raise ImageError(f"the config of {where} is no image's")
    return {**config, "rootfs": {**rootfs, "diff_ids": list(map(str, diff_ids))}, "config": settings,
            "history": [{**line, "created_by": str(line.get("created_by") or ""),
                         "created": str(line.get("created") or "")} for line in history]}


def stored(store: ImageStore, image: StoredImage) -> PlacedImage:
    """An image of the store."""
    places = []
    for number, one in enumerate(image.layers, 1):
        path = store.blob(one.digest)
        if not path.exists():
            raise ImageError(f"layer {number} of {image.name or image.id}, {one.digest}, is not in the store")
        places.append((one, Place(path, 0, path.stat().st_size)))
    return PlacedImage((image.name,) if image.name else (), image.id,
                       _config(image.config, len(places), image.name or image.id), tuple(places))


def pick(there: Sequence[PlacedImage], name: str, path: Path) -> PlacedImage:
    """The one of that name (or the first).  Raises ImageError with the names there are."""
    if not name:
        return there[0]
    wanted = parse(name)
    for image in there:
        if name in image.names or (wanted is not None and wanted in map(parse, image.names)) or (
                len(name) >= 6 and image.id.removeprefix("sha256:").startswith(name.removeprefix("sha256:"))):
            return image
    known = ", ".join(familiar(name) for image in there for name in image.names) or "no name at all"
    raise ImageError(f"there is no image {name} in {path}; it has: {known}")


# Are they what they say?


def verify(image: PlacedImage) -> None:
    """Reads every byte, two layers at a time.  Raises ImageError at the first that is not what its digest says."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as threads:
        for _ in threads.map(_verify, range(1, len(image.layers) + 1), image.layers, image.diff_ids):
            pass


def _verify(number: int, layer: tuple[Descriptor, Place], diff_id: str) -> None:
    one, place = layer
    with open(place.path, "rb") as file:
        how = kind_of(file, place)
        found = _hash(pieces(part(file, place)))
        if found != one.digest and (not how or one.digest != diff_id):
            raise ImageError(f"layer {number} is {found}, and not {one.digest}: it was damaged on its way")
        if how:
            found = _hash(unpacked(part(file, place), how))
        if found != diff_id:
            raise ImageError(f"layer {number} is {found}, but the config says {diff_id}")


def _hash(given: Iterable[bytes]) -> str:
    found = hashlib.sha256()
    for piece in given:
        found.update(piece)
    return "sha256:" + found.hexdigest()
