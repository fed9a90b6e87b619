"""Content and its address: digests, media types, descriptors.

    sha256:6c3c…  ◀── the bytes decide it, so whoever asks for a digest can check what came

Source: OCI image-spec, descriptor.md and media-types.md; Docker's image manifest V2, schema 2.
"""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from kitlib.images.errors import ImageError

CHUNK = 1 << 20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
INDEXES, MANIFESTS = (OCI_INDEX, DOCKER_INDEX), (OCI_MANIFEST, DOCKER_MANIFEST)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


def machine() -> str:
    """This machine's architecture, as images call it."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(CHUNK):
        yield piece


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Which bytes, how many, and what they are."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    platform: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def parse(cls, given: Any, where: str) -> Descriptor:
        """Out of a manifest or an index.  Raises ImageError that says where it stood."""
        if not isinstance(given, dict) or not is_digest(str(given.get("digest"))):
            raise ImageError(f"{where} has no digest of the form sha256:…")
        size = given.get("size")
        if not isinstance(size, int) or size < 0:
            raise ImageError(f"{where} has no size")
        return cls(str(given.get("mediaType", "")), given["digest"], size, given.get("annotations") or {},
                   given.get("platform") or {})

    def json(self) -> dict[str, Any]:
        more = {"annotations": dict(self.annotations), "platform": dict(self.platform)}
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size,
                **{name: value for name, value in more.items() if value}}
