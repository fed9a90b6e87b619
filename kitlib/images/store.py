"""Where images are kept: one content-addressed store for all clusters, nodes and engines of a user.

    $KIT_HOME/images/oci/     an OCI image layout, so skopeo and everybody else can read it, too
      oci-layout  index.json  names → manifests
      blobs/sha256/…          manifests, configs and layers, each named by what is in it
      unpacked/…  flat/…      layers, and whole images, as directories: made when somebody runs them

A blob is complete or not there (written beside, then renamed), and never changes; names change under a lock.  So two
processes may use the store at once, and one that is killed leaves at most a temporary file.

Source: OCI image-spec, image-layout.md.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from kitlib.images import layer, owners
from kitlib.images.descriptor import (
    INDEXES,
    MANIFESTS,
    OCI_MANIFEST,
    Descriptor,
    digest_of,
    is_digest,
    machine,
    pieces,
)
from kitlib.images.errors import ImageError
from kitlib.images.inuse import layers_in_use
from kitlib.images.reference import parse

REF_NAME = "org.opencontainers.image.ref.name"
LARGEST_JSON = 16 << 20


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image as the store has it.  id: the digest of its config, as Docker calls an image."""

    name: str
    manifest: Descriptor
    config_descriptor: Descriptor
    config: dict[str, Any]
    layers: tuple[Descriptor, ...]

    @property
    def id(self) -> str:
        return self.config_descriptor.digest

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def diff_ids(self) -> tuple[str, ...]:
        return tuple(self.config["rootfs"]["diff_ids"])

    @property
    def size(self) -> int:
        """Bytes of its layers, as they are kept."""
        return sum(one.size for one in self.layers)


class ImageStore:
    def __init__(self, root: Path) -> None:
        self.root = root
        self._blobs = root / "blobs" / "sha256"

    # Blobs.

    def _ensure(self) -> None:
        self._blobs.mkdir(parents=True, exist_ok=True)
        layout = self.root / "oci-layout"
        if not layout.exists():
            _replace(layout, b'{"imageLayoutVersion":"1.0.0"}')

    def blob(self, digest: str) -> Path:
        """Where a blob is, or would be."""
        if not is_digest(digest):
            raise ImageError(f"{digest!r} is no digest of the form sha256:…")
        return self._blobs / digest.removeprefix("sha256:")

    def has(self, digest: str) -> bool:
        return is_digest(digest) and self.blob(digest).exists()

    def read(self, digest: str) -> bytes:
        """A small blob, whole.  Raises ImageError if it is not there."""
        try:
            if self.blob(digest).stat().st_size > LARGEST_JSON:
                raise ImageError(f"blob {digest} is too large for a manifest or config")
            return self.blob(digest).read_bytes()
        except FileNotFoundError as error:
            raise ImageError(f"blob {digest} is not in the store") from error

    def write(self, data: bytes, media_type: str) -> Descriptor:
        with self.incoming() as blob:
            blob.write(data)
            return blob.keep(media_type)

    def add(self, stream: BinaryIO, media_type: str, expected: str = "") -> Descriptor:
        """Keep what a stream has.  Raises ImageError if it is not what `expected` says."""
        with self.incoming() as blob:
            for piece in pieces(stream):
                blob.write(piece)
            return blob.keep(media_type, expected)

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """A blob that is being written; gone at the end of the block unless it was kept."""
        self._ensure()
        descriptor, temporary = tempfile.mkstemp(prefix=".incoming-", dir=self._blobs)
        with os.fdopen(descriptor, "wb") as file:
            try:
                yield Incoming(self, file, Path(temporary))
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)

    # Names.

    def names(self) -> dict[str, Descriptor]:
        """Full name → manifest."""
        return {m.annotations[REF_NAME]: m for m in self._index() if REF_NAME in m.annotations}

    def _index(self) -> list[Descriptor]:
        try:
            found = json.loads((self.root / "index.json").read_bytes())
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise ImageError(f"{self.root / 'index.json'} is damaged: {error}") from error
        return [Descriptor.parse(entry, f"entry {i} of index.json") for i, entry in enumerate(found["manifests"])]

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[Descriptor]]:
        self._ensure()
        with open(self.root / "lock", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = self._index()
            yield entries
            document = {"schemaVersion": 2, "manifests": [entry.json() for entry in entries]}
            _replace(self.root / "index.json", json.dumps(document, indent=1).encode())

    def tag(self, name: str, manifest: Descriptor) -> None:
        """Give a manifest a (full) name, or keep it without one (""); whatever had the name is nameless now."""
        with self._changing() as entries:
            there = [_named(e, "") if name and e.annotations.get(REF_NAME) == name else e for e in entries]
            entries[:] = _tidy([*there, _named(manifest, name)])

    def forget(self, image: StoredImage) -> None:
        """Take its name away, or, if it has none, the image itself; `collect` frees the room."""
        with self._changing() as entries:
            entries[:] = [e for e in entries if e.digest != image.digest
                          or e.annotations.get(REF_NAME, "") != image.name]

    def keep(self, manifests: Sequence[Descriptor]) -> None:
        """Keep images without names."""
        if manifests:
            with self._changing() as entries:
                entries[:] = _tidy([*entries, *(_named(manifest, "") for manifest in manifests)])

    def untag(self, name: str) -> None:
        """Take a name away; what had it stays, nameless if that was its last one."""
        with self._changing() as entries:
            entries[:] = _tidy([_named(e, "") if e.annotations.get(REF_NAME) == name else e for e in entries])

    def discard(self, identity: str) -> None:
        """Remove an image (by its config's digest) whatever its names, and of its blobs those that no other image has.

        Other than `collect` it leaves alone what somebody is just writing.
        """
        with self._changing() as entries:
            images = [(e, self._load(e.annotations.get(REF_NAME, ""), e)) for e in entries]
            entries[:] = [e for e, image in images if image.id != identity]
            kept = {d for _, i in images if i.id != identity for d in _digests(i)}
            for digest in {d for _, i in images if i.id == identity for d in _digests(i)} - kept:
                self.blob(digest).unlink(missing_ok=True)
            diffs = {d for _, i in images if i.id != identity for d in i.diff_ids}
            gone = {d for _, i in images if i.id == identity for d in i.diff_ids} - diffs
            self._forget_unpacked([p for d in gone for p in (self.root / "unpacked").glob(f"*-{d[7:]}")])
            flats = {flat_name(i.diff_ids) for _, i in images if i.id != identity}
            for _, image in images:
                if flat_name(image.diff_ids) not in flats:
                    shutil.rmtree(self.root / "flat" / flat_name(image.diff_ids), ignore_errors=True)

    @staticmethod
    def _forget_unpacked(places: Sequence[Path]) -> None:
        """Those that a container or a Pod stands on stay until the next time."""
        used = layers_in_use() if places else set()
        for path in places:
            if f"sha256:{path.name.partition('-')[2]}" not in used:
                shutil.rmtree(path, ignore_errors=True)

    # Images.

    def find(self, reference: str) -> StoredImage | None:
        """By name (nginx, kit/app:v1, name@sha256:…), by digest, or by (the beginning of) an image's id."""
        names = self.names()
        parsed = parse(reference)
        if parsed is not None and str(parsed) in names:
            return self._load(str(parsed), names[str(parsed)])
        wanted = reference.removeprefix("sha256:")
        pinned = parsed.digest if parsed is not None else ""
        for entry in self._index():
            name = entry.annotations.get(REF_NAME, "")
            if entry.digest in (reference, pinned) and (not pinned or name.rpartition(":")[0] == parsed.repository):  # type: ignore[union-attr]
                return self._load(name, entry)
            if len(wanted) >= 6 and all(c in "0123456789abcdef" for c in wanted):
                image = self._load(name, entry)
                if image.id.removeprefix("sha256:").startswith(wanted):
                    return image
        return None

    def images(self) -> list[StoredImage]:
        return [self._load(e.annotations.get(REF_NAME, ""), e) for e in self._index()]

    def _load(self, name: str, manifest: Descriptor) -> StoredImage:
        return read_image(self, name, manifest)

    def unpacked(self, image: StoredImage, number: int, whiteouts: layer.Whiteouts = layer.Whiteouts.OVERLAY) -> Path:
        """Layer `number` of an image as a directory, made once."""
        return self.tree_of(image.layers[number], image.diff_ids[number], whiteouts)

    def tree_of(self, one: Descriptor, diff_id: str, whiteouts: layer.Whiteouts) -> Path:
        """One layer as a directory."""
        place = self.root / "unpacked" / f"{whiteouts.value}-{diff_id.removeprefix('sha256:')}"
        return self._made(place, [one], whiteouts)

    def flat(self, image: StoredImage) -> Path:
        """The whole image as one directory, made once; not to be written to."""
        return self.flat_of(tuple(zip(image.layers, image.diff_ids, strict=True)))

    def flat_of(self, parts: Sequence[tuple[Descriptor, str]]) -> Path:
        """Layers (with their diff ids), the lowest first, as one directory."""
        name = flat_name([diff_id for _, diff_id in parts])
        return self._made(self.root / "flat" / name, [one for one, _ in parts], layer.Whiteouts.REMOVE)

    def _made(self, place: Path, layers: Any, whiteouts: layer.Whiteouts) -> Path:
        if place.is_dir():
            return place
        place.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".making-", dir=place.parent))
        try:
            work.chmod(0o755)
            whose: owners.Owners = {}
            for one in layers:
                with open(self.blob(one.digest), "rb") as stream:
                    layer.apply(stream, work, whiteouts, whose)
            if whose:
                owners.write(place, whose)
            with contextlib.suppress(FileExistsError, OSError):  # somebody else was faster
                os.rename(work, place)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        if not place.is_dir():
            raise ImageError(f"{place} cannot be made")
        return place

    def collect(self) -> int:
        """Remove the blobs and directories that no name leads to; bytes of blobs that are free now."""
        with self._changing() as entries:
            images = [self._load(e.annotations.get(REF_NAME, ""), e) for e in entries]
            kept = {d for i in images for d in _digests(i)}
            freed = 0
            for path in self._blobs.iterdir():
                if f"sha256:{path.name}" not in kept and not path.name.startswith(".incoming-"):
                    freed += path.stat().st_size
                    path.unlink()
            diffs = {d.removeprefix("sha256:") for i in images for d in i.diff_ids}
            flats = {flat_name(i.diff_ids) for i in images}
            self._forget_unpacked([p for p in (self.root / "unpacked").glob("*-*")
                                   if p.name.partition("-")[2] not in diffs])
            for path in (self.root / "flat").glob("[0-9a-f]*"):
                if path.name not in flats:
                    shutil.rmtree(path, ignore_errors=True)
            for path in (self.root / "owners").glob("*.json"):
                if not any((self.root / kind / path.stem).exists() for kind in ("unpacked", "flat")):
                    path.unlink(missing_ok=True)
        return freed


class Incoming:
    """A blob on its way into the store: its digest is computed as it comes."""

    def __init__(self, store: ImageStore, file: BinaryIO, temporary: Path) -> None:
        self._store, self.file, self._temporary = store, file, temporary
        self._hash, self.size = hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self.size += len(data)
        return self.file.write(data)

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()

    def keep(self, media_type: str, expected: str = "") -> Descriptor:
        if expected and self.digest != expected:
            raise ImageError(f"the content has digest {self.digest}, not {expected}: it was damaged on its way")
        self.file.flush()
        os.fsync(self.file.fileno())
        os.chmod(self._temporary, 0o644)
        os.rename(self._temporary, self._store.blob(self.digest))
        return Descriptor(media_type, self.digest, self.size)


def read_image(store: ImageStore, name: str, manifest: Descriptor) -> StoredImage:
    """The image of a manifest or, of an index, this machine's.  Raises ImageError with what does not fit."""
    document = _json(store, manifest.digest)
    kind = document.get("mediaType") or manifest.media_type
    if kind in INDEXES or "manifests" in document:
        return read_image(store, name, choose(document, name or manifest.digest))
    if kind and kind not in MANIFESTS:
        raise ImageError(f"{name or manifest.digest} is {kind}, which is no image")
    config = Descriptor.parse(document.get("config"), f"the config of {name or manifest.digest}")
    layers = tuple(Descriptor.parse(each, f"layer {i + 1} of {name or manifest.digest}")
                   for i, each in enumerate(document.get("layers") or ()))
    settings = _json(store, config.digest)
    diff_ids = (settings.get("rootfs") or {}).get("diff_ids") or []
    if len(diff_ids) != len(layers):
        raise ImageError(f"{name or manifest.digest} has {len(layers)} layers, but its config knows {len(diff_ids)}")
    settings["rootfs"] = {**(settings.get("rootfs") or {}), "diff_ids": diff_ids}
    return StoredImage(name, Descriptor(kind or OCI_MANIFEST, manifest.digest, manifest.size), config, settings, layers)


def choose(index: dict[str, Any], name: str) -> Descriptor:
    """This machine's manifest out of an index."""
    entries = [Descriptor.parse(each, f"entry {i} of {name}") for i, each in enumerate(index.get("manifests") or ())]
    for entry in entries:
        if not entry.platform or (entry.platform.get("os"), entry.platform.get("architecture")) == ("linux", machine()):
            return entry
    there = ", ".join(f"{e.platform.get('os')}/{e.platform.get('architecture')}" for e in entries) or "nothing"
    raise ImageError(f"{name} is for {there}, and this machine is linux/{machine()}")


def flat_name(diff_ids: Sequence[str]) -> str:
    """Under which name these layers lie as one directory."""
    return digest_of("".join(diff_ids).encode()).removeprefix("sha256:")


def _digests(image: StoredImage) -> tuple[str, ...]:
    return (image.digest, image.config_descriptor.digest, *(one.digest for one in image.layers))


def _named(entry: Descriptor, name: str) -> Descriptor:
    return Descriptor(entry.media_type, entry.digest, entry.size, {REF_NAME: name} if name else {})


def _tidy(entries: list[Descriptor]) -> list[Descriptor]:
    """Each name once, and a nameless entry only for what has no name."""
    named = {e.annotations[REF_NAME]: e for e in entries if REF_NAME in e.annotations}
    digests = {e.digest for e in named.values()}
    nameless = {e.digest: e for e in entries if REF_NAME not in e.annotations and e.digest not in digests}
    return [*named.values(), *nameless.values()]


def _json(store: ImageStore, digest: str) -> dict[str, Any]:
    try:
        found = json.loads(store.read(digest))
    except ValueError as error:
        raise ImageError(f"blob {digest} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ImageError(f"blob {digest} is no JSON object")
    return found


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def default_store() -> ImageStore:
    """The user's own: $KIT_HOME/images/oci."""
    return ImageStore(Path(os.environ.get("KIT_HOME") or Path.home() / ".kit") / "images" / "oci")
