"""What a registry keeps: blobs once for all, and for each repository what belongs to it.

    ROOT/blobs/sha256/…                        shared (as an image store has them)
    ROOT/repositories/NAME/_blobs/HEX          this repository may hand out that blob
                          /_manifests/HEX      its media type
                          /_tags/TAG           a manifest's digest
                          /_uploads/UUID       a blob that is on its way

A blob that was pushed to one repository is not to be had from another: it is mounted there first.

Source: OCI distribution-spec, "Storage" is left to the implementation; docker/distribution's layout.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kitlib.images.descriptor import Descriptor, digest_of, is_digest, pieces
from kitlib.images.registry.body import Body
from kitlib.images.registry.errors import RegistryError
from kitlib.images.store import ImageStore

NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


class Repositories:
    def __init__(self, root: Path) -> None:
        self._root = root
        self.store = ImageStore(root)

    def names(self) -> list[str]:
        base = self._root / "repositories"
        found = [str(path.parent.relative_to(base)) for path in base.rglob("_manifests")] if base.is_dir() else []
        return sorted(found)

    def repository(self, name: str) -> Repository:
        if not NAME.fullmatch(name) or len(name) > 255:
            raise RegistryError(400, "NAME_INVALID", f"invalid repository name: {name}")
        return Repository(name, self._root / "repositories" / name, self.store)


class Repository:
    def __init__(self, name: str, place: Path, store: ImageStore) -> None:
        self.name, self._place, self._store = name, place, store

    def exists(self) -> bool:
        return self._place.is_dir()

    def _must_exist(self) -> None:
        if not self.exists():
            raise RegistryError(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": self.name})

    def _mark(self, kind: str, name: str, content: str = "") -> None:
        path = self._place / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        temporary.write_text(content)
        os.replace(temporary, path)

    # Blobs.

    def has_blob(self, digest: str) -> bool:
        return is_digest(digest) and self._store.has(digest) and (self._place / "_blobs" / digest[7:]).exists()

    def blob(self, digest: str) -> Path:
        if not is_digest(digest):
            raise RegistryError(400, "DIGEST_INVALID", f"invalid digest: {digest}")
        if not self.has_blob(digest):
            raise RegistryError(404, "BLOB_UNKNOWN", "blob unknown to registry", digest)
        return self._store.blob(digest)

    def mount(self, digest: str, source: Repository) -> bool:
        """Take over a blob of another repository.  False if that has none."""
        if not source.has_blob(digest):
            return False
        self._mark("_blobs", digest[7:])
        return True

    def delete_blob(self, digest: str) -> None:
        self.blob(digest)
        (self._place / "_blobs" / digest[7:]).unlink(missing_ok=True)

    # Uploads.

    def begin(self) -> str:
        identity = uuid.uuid4().hex
        self._mark("_uploads", identity)
        return identity

    def _upload(self, identity: str) -> Path:
        path = self._place / "_uploads" / identity
        if not re.fullmatch(r"[0-9a-f]{32}", identity) or not path.exists():
            raise RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", identity)
        return path

    def uploaded(self, identity: str) -> int:
        return self._upload(identity).stat().st_size

    def append(self, identity: str, body: Body, start: int | None) -> None:
        """Add a chunk.  start: where it has to fit, if the client says so.  One at a time for each upload."""
        with self._upload(identity).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file.fileno()).st_size
            if start is not None and start != size:
                raise RegistryError(416, "BLOB_UPLOAD_INVALID", f"the upload has {size} bytes; a chunk that begins at "
                                    f"{start} does not fit", {"offset": size})
            for piece in body.pieces():
                file.write(piece)

    def finish(self, identity: str, digest: str) -> None:
        """Keep what was uploaded as a blob.  If it is another than was said, the upload has failed, and is gone."""
        path = self._upload(identity)
        with path.open("rb") as file:
            found = hashlib.sha256()
            for piece in pieces(file):
                found.update(piece)
            if f"sha256:{found.hexdigest()}" != digest:
                path.unlink(missing_ok=True)
                raise RegistryError(400, "DIGEST_INVALID", "provided digest did not match uploaded content",
                                    f"sha256:{found.hexdigest()}")
            file.seek(0)
            self._store.add(file, "", digest)
        self._mark("_blobs", digest[7:])
        path.unlink()

    def cancel(self, identity: str) -> None:
        self._upload(identity).unlink()

    # Manifests and tags.

    def resolve(self, reference: str) -> str:
        """The digest of a tag or digest."""
        self._must_exist()
        if is_digest(reference):
            return reference
        try:
            return (self._place / "_tags" / reference).read_text() if TAG.fullmatch(reference) else ""
        except FileNotFoundError:
            return ""

    def manifest(self, reference: str) -> Descriptor:
        digest = self.resolve(reference)
        mark = self._place / "_manifests" / digest[7:]
        if not digest or not mark.is_file() or not self._store.has(digest):
            raise RegistryError(404, "MANIFEST_UNKNOWN", "manifest unknown", {"name": self.name, "Tag": reference})
        return Descriptor(mark.read_text(), digest, self._store.blob(digest).stat().st_size)

    def read(self, digest: str) -> bytes:
        return self._store.read(digest)

    def put_manifest(self, reference: str, data: bytes, media_type: str) -> tuple[Descriptor, str]:
        """Keep a manifest; its descriptor, and the digest of its subject or "".  What it names has to be there."""
        document = parse_manifest(data)
        digest = digest_of(data)
        if is_digest(reference) and reference != digest:
            raise RegistryError(400, "DIGEST_INVALID", "provided digest did not match uploaded content", digest)
        if not is_digest(reference) and not TAG.fullmatch(reference):
            raise RegistryError(400, "TAG_INVALID", f"invalid tag: {reference}")
        # A layer with URLs lies elsewhere: it may not be handed on.
        blobs = [each["digest"] for each in (document.get("config"), *document["layers"])
                 if each and not each.get("urls")]
        missing = [blob for blob in dict.fromkeys(blobs) if not self.has_blob(blob)]
        if missing:
            raise RegistryError(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry",
                                details=[{"digest": blob} for blob in missing])
        missing = [each["digest"] for each in document["manifests"]
                   if not (self._place / "_manifests" / each["digest"][7:]).exists()]
        if missing:
            raise RegistryError(404, "MANIFEST_UNKNOWN", "manifest unknown", details=[{"digest": m} for m in missing])
        kept = self._store.write(data, media_type)
        self._mark("_manifests", digest[7:], document.get("mediaType") or media_type)
        if not is_digest(reference):
            self._mark("_tags", reference, digest)
        return kept, str((document.get("subject") or {}).get("digest", ""))

    def delete_manifest(self, reference: str) -> None:
        """By tag: the tag goes.  By digest: the manifest and all its tags."""
        found = self.manifest(reference)
        for tag in self.tags() if is_digest(reference) else [reference]:
            path = self._place / "_tags" / tag
            if path.exists() and path.read_text() == found.digest:
                path.unlink()
        if is_digest(reference):
            (self._place / "_manifests" / found.digest[7:]).unlink()

    def tags(self) -> list[str]:
        self._must_exist()
        place = self._place / "_tags"
        return sorted(p.name for p in place.iterdir() if not p.name.startswith(".")) if place.is_dir() else []

    def referrers(self, subject: str) -> Iterator[dict[str, Any]]:
        """Descriptors of the manifests that say they are about `subject`."""
        place = self._place / "_manifests"
        for mark in sorted(place.iterdir()) if place.is_dir() else ():
            data = self._store.read(f"sha256:{mark.name}")
            document = json.loads(data)
            if (document.get("subject") or {}).get("digest") != subject:
                continue
            kind = document.get("artifactType") or (document.get("config") or {}).get("mediaType", "")
            yield {"mediaType": mark.read_text(), "digest": f"sha256:{mark.name}", "size": len(data),
                   "artifactType": kind, **({"annotations": document["annotations"]} if "annotations" in document
                                            else {})}


def parse_manifest(data: bytes) -> dict[str, Any]:
    """A manifest or an index whose descriptors have digests.  Raises RegistryError."""
    def invalid(what: str) -> RegistryError:
        return RegistryError(400, "MANIFEST_INVALID", f"manifest invalid: {what}")

    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise invalid(str(error)) from error
    if not isinstance(document, dict):
        raise invalid("it is no object")
    for name in ("layers", "manifests"):
        if not isinstance(document.setdefault(name, []), list):
            raise invalid(f"{name} is no list")
    for name in ("mediaType", "artifactType"):
        if not isinstance(document.get(name, ""), str):
            raise invalid(f"{name} is no text")
    for each in (document.get("config"), document.get("subject"), *document["layers"], *document["manifests"]):
        if each is not None and not (isinstance(each, dict) and is_digest(str(each.get("digest")))):
            raise invalid(f"a descriptor without a digest: {json.dumps(each)[:100]}")
    return document
