"""A new container: from what a client asks for to a record, and files on the disk.

Source: moby 20.10, daemon/create.go, daemon/create_unix.go.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kitlib.engine.containers import config, files, mounts, place, spec
from kitlib.engine.containers.record import Container, now
from kitlib.engine.errors import EngineError, bad_request, not_found
from kitlib.images.merged import Merged
from kitlib.images.store import StoredImage
from kitlib.runtime.process.images import COPY

if TYPE_CHECKING:
    from kitlib.engine.containers.manager import Containers


async def create(containers: Containers, name: str, body: Mapping[str, Any]) -> tuple[Container, list[str]]:
    """(the container, warnings); its name is reserved for it.  Raises EngineError, and nothing is left then."""
    settings, host, endpoints, warnings = config.parse(body)
    engine, identity = containers.engine, os.urandom(32).hex()
    image = engine.store.find(settings["Image"]) if settings["Image"] else None
    if image is None:
        raise not_found(f"No such image: {_with_tag(settings['Image'])}")
    config.merge(settings, image.config.get("config") or {})
    chosen = containers.reserve(name, identity)
    directory = engine.home / "containers" / identity
    try:
        settings["Hostname"] = settings["Hostname"] or (
            os.uname().nodename if host["NetworkMode"] == "host" else identity[:12])
        container = Container(identity, chosen, now(), settings, host, image.id, str(directory))
        container.diff_ids = list(image.diff_ids)
        container.mounts = mounts.collect(settings, host, mounts.volumes_from(host, containers.find))
        if container.network_mode.startswith("container:"):
            try:
                other = containers.find(container.network_mode.partition(":")[2])
            except EngineError as error:  # a 404 would be about the image
                raise bad_request(error.message) from error
            host["NetworkMode"], settings["Hostname"] = f"container:{other.id}", other.config["Hostname"]
        await containers.runtime()
        engine.networks.wanted(container, endpoints)
        await asyncio.to_thread(_make, containers, container, image)
        if containers.machine.kind != "oci":
            warnings += spec.warnings(host, container, mounts=containers.machine.stacking != COPY)
    except BaseException:
        containers.release(chosen)
        await asyncio.to_thread(files.remove, directory)
        raise
    return container, warnings


def _make(containers: Containers, container: Container, image: StoredImage) -> None:
    """The slow part: what is on the disk."""
    stacking = containers.machine.stacking
    below = place.layers_of(containers.engine.store, image, stacking)
    container.layers = place.make(container.place, below, stacking)
    tree = Merged(place.tree(container.rw, container.layers, stacking))
    mounts.make(container.mounts, containers.engine.volumes, tree)


def _with_tag(image: str) -> str:
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in image or not image else f"{image}:latest"
