"""`docker pull` and `docker push`: the registry's client (kitlib/images/registry), told in Docker's words.

    {"status": "Pulling from library/busybox", "id": "latest"}
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "3f4d90098f5b"}
    {"status": "Pull complete", …}
    {"status": "Digest: sha256:…"}

Where no registry can be reached, base images that this machine can make itself (`kit image base`) are made, and the
stream says so.

Source: moby/moby 20.10, distribution/pull_v2.go, push_v2.go; docs.docker.com/reference/api/engine.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kitlib.engine.errors import EngineError, not_found
from kitlib.engine.names import familiar, short
from kitlib.engine.talking import Tell
from kitlib.images import base
from kitlib.images.descriptor import Descriptor
from kitlib.images.errors import ImageError
from kitlib.images.reference import Reference
from kitlib.images.registry import client
from kitlib.images.store import StoredImage, read_image

if TYPE_CHECKING:
    from kitlib.engine.engine import Engine

_WORDS = {"there": "Already exists", "pulling": "Pulling fs layer", "pulled": "Pull complete"}


def pull(engine: Engine, reference: Reference, tell: Tell) -> tuple[StoredImage, str]:
    """The image, and under which digest the registry has it ("": it was made here).

    Raises EngineError(404) if the registry does not have it, else ImageError.
    """
    name = str(reference)
    path = reference.repository.partition("/")[2]
    before = engine.store.names().get(name)
    begun = False

    def progress(blob: Descriptor, what: str) -> None:
        nonlocal begun
        if not begun:
            tell({"status": f"Pulling from {path}", "id": reference.tag or reference.digest})
            begun = True
        if "config" in blob.media_type or "container.image" in blob.media_type:
            return
        tell({"status": _WORDS[what], "progressDetail": {}, "id": short(blob.digest)})

    if os.environ.get("KIT_PULL") == "never":
        why = ImageError(f"{familiar(name)}: KIT_PULL=never forbids to ask a registry (it cannot be reached)")
        made = _made_here(engine, reference, why, tell)
        if made is None:
            raise why
        return made, ""
    try:
        client.pull(engine.store, name, progress)
    except ImageError as error:
        made = _made_here(engine, reference, error, tell)
        if made is None:
            raise _refusal(reference, error) from error
        return made, ""
    digest = engine.store.names()[name].digest
    tell({"status": f"Digest: {digest}"})
    new = before is None or before.digest != digest
    tell({"status": f"Status: {'Downloaded newer image' if new else 'Image is up to date'} for {familiar(name)}"})
    return read_image(engine.store, name, engine.store.names()[name]), digest


def _made_here(engine: Engine, reference: Reference, why: ImageError, tell: Tell) -> StoredImage | None:
    """A base image from what is installed, where no registry can be reached (one that does not have it is believed)."""
    if "cannot be reached" not in str(why):
        return None
    name = familiar(str(reference))
    try:
        image = base.stand_in(engine.store, str(reference), lambda words: tell({"status": words}))
    except ImageError:
        return None
    if image is not None:
        tell({"status": f"{name}: no registry can be reached from here; made on this machine instead (kit image base)"})
    return image


def _refusal(reference: Reference, error: ImageError) -> Exception:
    said = str(error)
    name = familiar(str(reference))
    if "manifest unknown" in said:
        return not_found(f"manifest for {name} not found: manifest unknown: manifest unknown")
    if "not known to registry" in said or "name unknown" in said.lower():
        return not_found(f"repository {familiar(reference.repository)} not found: name unknown: repository name not "
                         "known to registry")
    if "HTTP 401" in said or "HTTP 403" in said or "HTTP 404" in said or "authentication required" in said:
        return not_found(f"pull access denied for {familiar(reference.repository)}, repository does not exist or may "
                         "require 'docker login'")
    if "cannot be reached" in said:
        return _unreachable(reference.repository, said)
    return error


def _unreachable(repository: str, said: str) -> EngineError:
    """In the words of Go's net package, which everybody searches for."""
    host = repository.partition("/")[0]
    scheme = "http" if client.is_loopback(host) else "https"
    host = "registry-1.docker.io" if host == "docker.io" else host
    if "Connection refused" in said:
        why = f"dial tcp {host}: connect: connection refused"
    elif "not known" in said or "name resolution" in said:
        why = f"dial tcp: lookup {host.partition(':')[0]}: no such host"
    else:
        why = said
    return EngineError(500, f'Get "{scheme}://{host}/v2/": {why}')


def push(engine: Engine, repository: str, images: dict[str, StoredImage], tell: Tell) -> None:
    """images: tag → what has it.  Raises ImageError, EngineError."""
    for tag, image in images.items():
        name = f"{repository}:{tag}"
        diff_ids = dict(zip((one.digest for one in image.layers), image.diff_ids, strict=True))
        for one in image.layers:
            tell({"status": "Preparing", "progressDetail": {}, "id": short(diff_ids[one.digest])})

        def progress(blob: Descriptor, what: str, ids: dict[str, str] = diff_ids) -> None:
            if blob.digest in ids:
                words = "Layer already exists" if what == "there" else "Pushed"
                tell({"status": words, "progressDetail": {}, "id": short(ids[blob.digest])})

        try:
            digest = client.push(engine.store, image, name, progress)
        except ImageError as error:
            if "cannot be reached" in str(error):
                raise _unreachable(repository, str(error)) from error
            raise
        tell({"status": f"{tag}: digest: {digest} size: {image.manifest.size}"})
        tell({"progressDetail": {}, "aux": {"Tag": tag, "Digest": digest, "Size": image.manifest.size}})


def remember_digest(engine: Engine, image: StoredImage, repository: str, digest: str) -> None:
    """`docker images --digests`: under which digest a registry has it.  On the event loop's thread."""
    known: list[Any] = engine.images.facts(image.id)["digests"]
    full = f"{repository}@{digest}"
    if full not in known:
        engine.images.note(image.id, digests=[*known, full])
