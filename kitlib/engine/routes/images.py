"""/images/…, /commit: what there is, how it comes and goes.

Source: docs.docker.com/reference/api/engine (Images); moby/moby 20.10, api/server/router/image.
"""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from collections.abc import AsyncIterator
from typing import Any

from kitlib.engine import imagemaking, imageremoval, transfer
from kitlib.engine.call import Answer, Call, Result, Stream
from kitlib.engine.engine import Engine
from kitlib.engine.errors import EngineError, bad_request, not_found, not_here
from kitlib.engine.images import FILTERS
from kitlib.engine.names import familiar, parsed, repository_and_tag
from kitlib.engine.receiving import received, scratch
from kitlib.engine.routing import route
from kitlib.engine.talking import talking
from kitlib.images import archive
from kitlib.images.descriptor import CHUNK
from kitlib.images.reference import parse
from kitlib.images.store import StoredImage


@route("GET", "/images/json")
async def list_images(engine: Engine, call: Call) -> Result:
    filters = call.filters(*FILTERS)
    if call.text("filter"):  # before API 1.30
        filters.setdefault("reference", []).append(call.text("filter"))
    return await asyncio.to_thread(engine.images.summaries, everything=call.flag("all"), filters=filters,
                                   shared=call.flag("shared-size"))


@route("GET", "/images/search")
async def search(engine: Engine, call: Call) -> Result:
    raise not_here("search", "look on https://hub.docker.com, and `docker pull` what you have found")


@route("GET", "/images/get")
async def save_many(engine: Engine, call: Call) -> Result:
    names = [name for given in call.texts("names") for name in given.split(",") if name]
    return await _saved(engine, names)


@route("GET", "/images/{name:path}/get")
async def save_one(engine: Engine, call: Call) -> Result:
    return await _saved(engine, [call.params["name"]])


async def _saved(engine: Engine, names: list[str]) -> Result:
    if not names:
        raise bad_request("no image is named")
    chosen: list[StoredImage] = []
    for name in names:
        try:
            local = engine.images.find(name)
        except EngineError as error:
            raise not_found(f"No such image: {name}") from error
        if engine.images.by_id_prefix(name, local.id):
            chosen.append(local.stored)
            continue
        given = parse(name)
        assert given is not None
        whole = ":" not in name.rpartition("/")[2] and "@" not in name  # a repository: all its tags
        tags = [n for n in local.names if n == str(given)]
        if whole:
            images = engine.images.all().values()
            for other in images:
                chosen += [dataclasses.replace(other.stored, name=n) for n in other.names
                           if n.rpartition(":")[0] == given.repository]
        else:
            chosen += [dataclasses.replace(local.stored, name=n) for n in tags or [""]]

    async def pieces() -> AsyncIterator[bytes]:
        with tempfile.TemporaryFile(dir=scratch(engine)) as file:
            await asyncio.to_thread(archive.save, engine.store, chosen, file)  # type: ignore[arg-type]
            file.seek(0)
            while piece := file.read(CHUNK):
                yield piece
        for image in chosen:
            engine.events.tell("image", "save", image.id, {"name": image.id})

    return Stream(pieces(), "application/x-tar")


@route("POST", "/images/load")
async def load(engine: Engine, call: Call) -> Result:
    async def lines() -> AsyncIterator[Any]:
        async with received(engine, call) as path:
            loaded: list[StoredImage] = []
            async for line in talking(lambda tell: imagemaking.load(engine.store, path, tell), result=loaded.extend):
                yield line
            for image in loaded:
                engine.events.tell("image", "load", image.id, {"name": image.id})

    return Stream(_begun(lines()))


async def _begun(items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """From here on errors belong into the stream, as Docker has them for load, push and build."""
    yield b""
    async for item in items:
        yield item


@route("POST", "/images/create")
async def create(engine: Engine, call: Call) -> Result:
    """Pull or import."""
    if call.text("fromImage"):
        return await _pull(engine, call)
    source = call.text("fromSrc")
    if not source:
        raise bad_request("one of fromImage and fromSrc has to be given")
    if source != "-":
        raise not_here("import from an address", "fetch it yourself: curl URL | docker import - NAME")
    name = repository_and_tag(call.text("repo"), call.text("tag"), 400) if call.text("repo") else ""
    async with received(engine, call) as path:
        image = await asyncio.to_thread(imagemaking.import_tar, engine.store, path, call.texts("changes"),
                                        call.text("message"), call.text("platform"))
    if name:
        engine.images.tag(engine.images.find(image.id), name)
    engine.events.tell("image", "import", image.id, {"name": image.id})

    async def said() -> AsyncIterator[Any]:
        yield {"status": image.id}

    return Stream(said())


async def _pull(engine: Engine, call: Call) -> Result:
    name, tag = call.text("fromImage"), call.text("tag")
    reference = parsed(name)
    if tag:
        separator = "@" if tag.startswith("sha256:") else ":"
        reference = parsed(f"{familiar(reference.repository)}{separator}{tag}")

    async def lines() -> AsyncIterator[Any]:
        pulled: list[tuple[StoredImage, str]] = []
        async for line in talking(lambda tell: transfer.pull(engine, reference, tell), result=pulled.append):
            yield line
        image, digest = pulled[0]
        if digest:
            transfer.remember_digest(engine, image, reference.repository, digest)
        engine.events.tell("image", "pull", familiar(str(reference)),
                           engine.images.attributes(engine.images.find(image.id), familiar(reference.repository)))

    return Stream(lines())


@route("POST", "/images/{name:path}/push")
async def push(engine: Engine, call: Call) -> Result:
    reference = parsed(call.params["name"])
    repository = familiar(reference.repository)
    tag = call.text("tag")

    async def lines() -> AsyncIterator[Any]:
        yield {"status": f"The push refers to repository [{reference.repository}]"}
        chosen = {name.rpartition(":")[2]: local.stored for local in engine.images.all().values()
                  for name in local.names if name.rpartition(":")[0] == reference.repository}
        if tag:
            chosen = {t: image for t, image in chosen.items() if t == tag}
        if not chosen:
            raise EngineError(500, f"An image does not exist locally with the tag: {repository}")
        async for line in talking(lambda tell: transfer.push(engine, reference.repository, chosen, tell)):
            yield line
        for each, image in chosen.items():
            transfer.remember_digest(engine, image, reference.repository, image.digest)
            engine.events.tell("image", "push", f"{repository}:{each}", engine.images.attributes(
                engine.images.find(image.id), repository))

    return Stream(lines())


@route("POST", "/images/prune")
async def prune(engine: Engine, call: Call) -> Result:
    found = imageremoval.prune(engine, call.filters(*imageremoval.PRUNE_FILTERS))
    engine.events.tell("image", "prune", "", {"reclaimed": str(found["SpaceReclaimed"])})
    return found


@route("GET", "/images/{name:path}/json")
async def inspect(engine: Engine, call: Call) -> Result:
    name = call.params["name"]
    try:
        local = engine.images.find(name)
    except EngineError as error:
        raise EngineError(error.status, f"no such image: {name}: {error.message}") from error
    return await asyncio.to_thread(engine.images.inspect, local)


@route("GET", "/images/{name:path}/history")
async def history(engine: Engine, call: Call) -> Result:
    return await asyncio.to_thread(engine.images.history, engine.images.find(call.params["name"]))


@route("POST", "/images/{name:path}/tag")
async def tag(engine: Engine, call: Call) -> Result:
    full = repository_and_tag(call.text("repo"), call.text("tag"))
    engine.images.tag(engine.images.find(call.params["name"]), full)
    return Answer(201)


@route("DELETE", "/images/{name:path}")
async def remove(engine: Engine, call: Call) -> Result:
    return imageremoval.Removal(engine).remove(call.params["name"], force=call.flag("force"),
                                               prune=not call.flag("noprune"))


@route("DELETE", "/images/")
async def remove_nothing(engine: Engine, call: Call) -> Result:
    raise bad_request("image name cannot be blank")


@route("GET", "/distribution/{name:path}/json")
async def distribution(engine: Engine, call: Call) -> Result:
    raise not_here("look into registries", "pull the image and inspect it")


@route("POST", "/commit")
async def commit(engine: Engine, call: Call) -> Result:
    full = repository_and_tag(call.text("repo"), call.text("tag"), 400) if call.text("repo") else ""
    override = await call.json()
    container, entries = await engine.containers.snapshot(call.text("container"), pause=call.flag("pause", True))
    image = await asyncio.to_thread(
        imagemaking.commit, engine, container, entries, changes=call.texts("changes"), comment=call.text("comment"),
        author=call.text("author"), override=override)
    if full:
        engine.images.tag(engine.images.find(image.id), full)
    engine.events.tell("container", "commit", container["Id"], {
        **((container.get("Config") or {}).get("Labels") or {}), "comment": call.text("comment"),
        "image": (container.get("Config") or {}).get("Image", ""), "imageID": image.id,
        "imageRef": familiar(full) if full else "", "name": str(container.get("Name", "")).lstrip("/")})
    return Answer(201, {"Id": image.id})
