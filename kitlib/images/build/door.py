"""A build for callers on an event loop: POST /build of an engine sends its context as a tar, and wants to be told the
steps in the order of the file, an image's id after each, and each line of output.

    tar ──▶ a directory ──▶ Builder, in threads ──▶ events as they come ──▶ Progress in order ──▶ told on the loop

Steps still run at the same time: what a later one says waits until those before it have finished.

Source: moby, api/server/router/build, builder/dockerfile/builder.go (what the classic builder prints).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import posixpath
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from kitlib.images import compression
from kitlib.images.build.build import Builder, Built, Cancel, Event, Settings
from kitlib.images.build.dockerfile import DockerfileError, Place, parse
from kitlib.images.build.operations import From, Step
from kitlib.images.build.plan import Plan
from kitlib.images.errors import ImageError
from kitlib.images.layer import apply
from kitlib.runtime import inroot


@dataclass(frozen=True)
class Progress:
    """What happens to step `number` of `total`, which is `text` in the Dockerfile.

    kind: step (it is its turn), triggers (text: how many, which follow), cached, running (it is carried out), output
    (text), image (text: the id of the image after it), failed (text: why).
    """

    kind: str
    number: int
    total: int
    text: str = ""


async def build(builder: Builder, context: BinaryIO, settings: Settings, tell: Callable[[Progress], None],
                names: Sequence[str] = ()) -> Built:
    """Build out of a context that is a tar (plain or compressed).  settings.file: where the Dockerfile is in it.

    tell: called on the loop.  names: full ones.  Raises DockerfileError, BuildError or ImageError.  A caller that is
    cancelled ends the build, and waits until nothing of it runs.
    """
    loop, cancel = asyncio.get_running_loop(), Cancel()

    def told(progress: Progress) -> None:
        loop.call_soon_threadsafe(tell, progress)

    work = asyncio.ensure_future(asyncio.to_thread(_build, builder, context, settings, names, cancel, told))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        cancel.set()
        await asyncio.wait([work])
        work.exception()  # it has been looked at: nobody else will
        raise


def _build(builder: Builder, context: BinaryIO, settings: Settings, names: Sequence[str], cancel: Cancel,
           tell: Callable[[Progress], None]) -> Built:
    with unpacked(builder, context) as place:
        text = dockerfile(place, settings.file)
        made = builder.plan(text, settings)
        order = InOrder(made, len(parse(text, settings.file).instructions) + len(settings.labels), tell)
        return builder.build(place, text, dataclasses.replace(settings, key=settings.key or "tar"), order.tell, names,
                             cancel)


@contextlib.contextmanager
def unpacked(builder: Builder, context: BinaryIO) -> Iterator[Path]:
    """A context's directory while the block lasts.  Raises ImageError for what is no tar, or leads out of it."""
    parent = builder.store.root.parent / "build" / "contexts"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="context-", dir=parent) as place:
        apply(cast(BinaryIO, _Aligned(compression.plain(context))), Path(place))
        yield Path(place)


class _Aligned:
    """A tar whose last block may be short: `docker build -f elsewhere/Dockerfile` sends such a one."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._size = stream, 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size) or bytes(-self._size % tarfile.BLOCKSIZE)
        self._size += len(data)
        return data

    def tell(self) -> int:
        return self._size

    def seek(self, place: int) -> None:
        self._stream.seek(place)
        self._size = place


def dockerfile(context: Path, name: str) -> str:
    """The Dockerfile's text; links are followed inside the context only.  Raises ImageError."""
    found = inroot.follow(posixpath.normpath(name), lambda step: inroot.readlink(str(context / step)))
    try:
        return (context / found).read_text()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise ImageError(f"Cannot locate specified Dockerfile: {os.path.basename(name)}") from error
    except UnicodeDecodeError as error:
        raise DockerfileError(Place(1), "the Dockerfile is no text", name) from error


class InOrder:
    """Events of a plan's steps, told in the order of the file.  total: the file's instructions."""

    def __init__(self, plan: Plan, total: int, tell: Callable[[Progress], None]) -> None:
        self._plan, self._total, self._say = plan, total, tell
        self._order = [step.number for step in plan.needed() if step.stage >= 0]
        self._events: dict[int, list[Event]] = {number: [] for number in self._order}
        self._at = 0
        self._begun: set[int] = set()

    def tell(self, event: Event) -> None:
        """One thread at a time may call this: Builder sees to it."""
        if event.step not in self._events:
            return
        if event.kind == "failed":  # steps before it that did not come to an end say nothing more
            self._at = max(self._at, self._order.index(event.step))
        self._events[event.step].append(event)
        while self._at < len(self._order):
            number = self._order[self._at]
            waiting, self._events[number] = self._events[number], []
            for each in waiting:
                self._one(self._plan.steps[number], each)
            if not waiting or waiting[-1].kind not in ("done", "cached", "noted"):
                return
            self._at += 1

    def _one(self, step: Step, event: Event) -> None:
        def say(kind: str, text: str = "") -> None:
            self._say(Progress(kind, step.instruction, self._total, text))

        if step.number not in self._begun:
            self._begun.add(step.number)
            before = self._plan.steps[step.base] if step.base is not None else None
            if before is None or before.instruction != step.instruction:
                say("step", step.written)
            elif isinstance(before.operation, From):
                count = sum(1 for s in self._plan.steps if s.instruction == step.instruction) - 1
                say("triggers", str(count))
        if event.kind == "started":
            say("running")
        elif event.kind in ("output", "failed"):
            say(event.kind, event.text)
        elif event.kind == "cached":
            say("cached")
        if event.image:
            say("image", event.image)
