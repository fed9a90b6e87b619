"""POST /build: kitlib's builder (kitlib/images/build) in the clothes of Docker's classic one.

    Step 2/3 : RUN make
     ---> Running in 0528a2f93e53
    … what it prints …
     ---> 4a08cf5ff94e
    Successfully built 4a08cf5ff94e

Steps of different stages run at the same time all the same; what they say waits for its turn.  The images on the way
are kept, nameless, as Docker keeps them: `docker history` names them, `docker run` takes them, `docker rmi` of the last
one takes them along.

Source: moby/moby 20.10, builder/dockerfile/{builder,dispatchers,evaluator}.go, api/server/router/build.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Container
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from kitlib.engine import transfer
from kitlib.engine.errors import EngineError, bad_request, not_here
from kitlib.engine.names import familiar, parsed, short
from kitlib.images.build import committing, door
from kitlib.images.build.build import Builder, BuildError, Built, Settings
from kitlib.images.build.dockerfile import DockerfileError
from kitlib.images.build.door import Progress
from kitlib.images.build.operations import Copy, From, Run
from kitlib.images.errors import ImageError
from kitlib.images.store import StoredImage

if TYPE_CHECKING:
    from kitlib.engine.call import Call
    from kitlib.engine.engine import Engine

_END = object()
_NOT_FOUND = "file not found in build context or excluded by .dockerignore"
_MISSING = re.compile(r"'(.*)': not found in the build context")


@dataclass(frozen=True)
class Order:
    """What a request asks for.  names: full ones; pull: look for newer base images."""

    settings: Settings
    names: tuple[str, ...]
    pull: bool
    quiet: bool
    remove: bool


def order_of(call: Call) -> Order:
    """Raises EngineError for a query that makes no sense."""
    names = tuple(str(_tagged(text)) for text in call.texts("t"))
    args = {name: str(value) for name, value in _json(call, "buildargs").items() if value is not None}
    labels = {name: str(value) for name, value in _json(call, "labels").items()}
    if call.flag("squash"):
        raise bad_request("squash is only supported with experimental mode")
    if call.texts("extrahosts"):
        raise not_here("hosts of their own in builds (--add-host)", "write the address into the Dockerfile's RUN")
    settings = Settings(args=args, target=call.text("target"), labels=labels, no_cache=call.flag("nocache"),
                        file=call.text("dockerfile") or "Dockerfile", classic=True,
                        network="none" if call.text("networkmode") == "none" else "default")
    return Order(settings, names, call.flag("pull"), call.flag("q"), call.flag("rm", True))


def _tagged(text: str) -> Any:
    reference = parsed(text, 500)
    if reference.digest:
        raise EngineError(500, "build tag cannot contain a digest")
    return reference


def _json(call: Call, name: str) -> dict[str, Any]:
    text = call.text(name)
    try:
        found = json.loads(text) if text else {}
    except ValueError as error:
        raise bad_request(f"{name} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise bad_request(f"{name} has to be a JSON object")
    return found


async def build(engine: Engine, order: Order, context: BinaryIO) -> AsyncIterator[dict[str, Any]]:
    """The lines of the stream.  Raises EngineError(400) before the first for a Dockerfile that cannot be read."""
    queue: asyncio.Queue[Any] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def from_thread(line: dict[str, Any]) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, line)

    builder = Builder(engine.store, pull=_puller(engine, from_thread))
    if order.pull:
        builder = _Fresh(engine.store, pull=_puller(engine, from_thread))
    say = _Classic(queue.put_nowait, order, {image.id for image in await asyncio.to_thread(engine.store.images)})
    work = asyncio.ensure_future(door.build(builder, context, order.settings, say.tell, order.names))
    work.add_done_callback(lambda done: loop.call_soon(queue.put_nowait, _END))
    try:
        while (line := await queue.get()) is not _END:
            if not order.quiet:
                yield line
        try:
            built = work.result()
        except (DockerfileError, BuildError, ImageError) as error:
            line = _failure(error, say.begun, order.settings.file)
            yield line
            return
    finally:
        if not work.done():
            work.cancel()
            await asyncio.wait([work])
    await asyncio.to_thread(_keep_parents, engine, built)
    identity = built.image.id
    if order.quiet:
        yield {"stream": f"{identity}\n"}
    else:
        yield {"aux": {"ID": identity}}
        for warning in built.plan.warnings:
            yield {"stream": f"{warning}\n"}
        yield {"stream": f"Successfully built {short(identity)}\n"}
    local = engine.images.find(identity)
    for name in order.names:
        engine.images.tagged(local, name)
        if not order.quiet:
            yield {"stream": f"Successfully tagged {familiar(name)}\n"}


class _Classic:
    """Progress in the classic builder's words."""

    def __init__(self, say: Callable[[dict[str, Any]], None], order: Order, known: Container[str]) -> None:
        """known: images that were there before.  A step that changes no files makes one of them again, or a new one:
        Docker calls the first a use of its cache, and runs a container for the second."""
        self._say, self._order, self._known = say, order, () if order.settings.no_cache else known
        self.begun = False
        self._step = self._container = self._how = ""

    def tell(self, progress: Progress) -> None:
        kind = progress.kind
        if kind == "step":
            self.begun = True
            self._step, self._container, self._how = progress.text, "", ""
            self._stream(f"Step {progress.number}/{progress.total} : {progress.text}")
            self._stream("\n")
        elif kind == "triggers":
            self._stream(f"# Executing {progress.text} build trigger{'' if progress.text == '1' else 's'}\n")
        elif kind == "cached":
            self._cached()
        elif kind == "running":
            self._running()
        elif kind == "output":
            self._stream(progress.text)
        elif kind == "image":
            if not self._how and not self._step.upper().startswith("FROM "):
                self._cached() if progress.text in self._known else self._running()
            if self._container and self._order.remove:
                self._stream(f"Removing intermediate container {self._container}\n")
            empty = self._step.upper().split()[:2] == ["FROM", "SCRATCH"]
            self._stream(f" ---> {'' if empty else short(progress.text)}\n")

    def _cached(self) -> None:
        self._how = "cached"
        self._stream(" ---> Using cache\n")

    def _running(self) -> None:
        self._how = "running"
        if not self._step.upper().startswith(("COPY ", "ADD ")):
            self._container = os.urandom(6).hex()
            self._stream(f" ---> Running in {self._container}\n")

    def _stream(self, text: str) -> None:
        self._say({"stream": text})


def _failure(error: Exception, begun: bool, file: str) -> dict[str, Any]:
    """A line of the stream; what is wrong with the Dockerfile itself is the request's fault, and raised."""
    if isinstance(error, DockerfileError):
        if not begun:
            raise bad_request(_complaint(error, file)) from error
        return told(str(error))
    if isinstance(error, BuildError):
        operation = error.step.operation
        if isinstance(operation, Run) and error.code:
            return told(f"The command '{' '.join(operation.argv)}' returned a non-zero code: {error.code}",
                        error.code)
        missing = _MISSING.match(error.why)
        why = f"{_NOT_FOUND}: stat {missing[1]}: file does not exist" if missing else error.why
        name = error.step.title.partition(" ")[0]
        return told(f"{name} failed: {why}" if isinstance(operation, Copy) else why)
    if not begun and str(error).startswith(("Cannot locate specified Dockerfile", "the layer")):
        raise EngineError(500, str(error)) from error
    cause = error.__cause__
    return told(cause.message if isinstance(cause, EngineError) else str(error))


def _complaint(error: DockerfileError, file: str) -> str:
    """What is wrong with the Dockerfile, in the classic builder's words where it has some."""
    sentence = error.sentence
    if sentence.startswith("no build stage in current context"):
        return "no build stage in current context"
    if sentence == "the file has no instructions":
        return f"the Dockerfile ({file}) cannot be empty"
    target = re.match(r"target stage '(.*)' could not be found", sentence)
    if target:
        return f"failed to reach build target {target[1]} in Dockerfile"
    return f"dockerfile parse error line {error.place.line}: {sentence}"


def told(message: str, code: int = 0) -> dict[str, Any]:
    return {"errorDetail": {**({"code": code} if code else {}), "message": message}, "error": message}


def _puller(engine: Engine, tell: Callable[[dict[str, Any]], None]) -> Callable[[str], StoredImage | None]:
    """A base image that is not here is fetched, as `docker pull` would."""
    def pull(name: str) -> StoredImage | None:
        try:
            return transfer.pull(engine, parsed(name), tell)[0]
        except EngineError as error:
            raise ImageError(error.message) from error

    return pull


class _Fresh(Builder):
    """--pull: base images are asked for again; what no registry has may still be here."""

    def image(self, name: str) -> StoredImage:
        if name not in self._images:
            try:
                found = self._pull(name)
            except ImageError:
                found = self.store.find(name)
                if found is None:
                    raise
            if found is not None:
                self._images[name] = found
        return super().image(name)


def _keep_parents(engine: Engine, built: Built) -> None:
    """The images on the way to the target, each the parent of the next."""
    store, plan = engine.store, built.plan
    chain = []
    at: int | None = plan.target
    while at is not None:
        chain.append(plan.steps[at])
        at = plan.steps[at].base
    parent, known = "", {image.id for image in store.images()}
    manifests = []
    for step in reversed(chain):
        if isinstance(step.operation, From):
            base = store.find(step.operation.image)
            parent = base.id if base is not None else ""
            continue
        image = committing.commit(store, plan, step.number, built.outcomes, classic=True)
        if step.number == plan.target:
            image = built.image
        if image.id == parent:
            continue
        if image.id not in known:
            manifests.append(image.manifest)
        if not engine.images.facts(image.id)["parent"] and parent:
            engine.images.note(image.id, parent=parent)
        parent = image.id
    store.keep(manifests)
