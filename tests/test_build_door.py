"""A build for an event loop: its context is a tar, steps are told in the file's order, and it can be cancelled."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from pathlib import Path

import pytest
from image_files import layer

from kitlib.images import base
from kitlib.images.build import door
from kitlib.images.build.build import Builder, BuildError, Cancelled, Settings
from kitlib.images.errors import ImageError
from kitlib.images.store import ImageStore

pytestmark = pytest.mark.needs("busybox")


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    store = ImageStore(tmp_path / "images" / "oci")
    base.busybox(store)
    return Builder(store)


def built(builder: Builder, text: str, *files: tuple[str, bytes], **settings: object
          ) -> tuple[list[tuple[str, int, str]], str]:
    told: list[tuple[str, int, str]] = []
    tar = layer(("Dockerfile", text.encode()), *files)
    done = asyncio.run(door.build(builder, io.BytesIO(tar), Settings(classic=True, **settings),  # type: ignore[arg-type]
                                  lambda p: told.append((p.kind, p.number, p.text))))
    return told, done.image.id


TEXT = """FROM busybox AS one
RUN sleep 0.3; echo first
FROM busybox
COPY a /a
ENV A=1
RUN echo second
COPY --from=one /bin/sh /sh
"""


def test_steps_are_told_in_order_with_the_image_after_each(builder: Builder) -> None:
    told, image = built(builder, TEXT, ("a", b"1"))
    said = [(kind, number, text) for kind, number, text in told if kind != "image"]
    assert said == [
        ("step", 1, "FROM busybox AS one"), ("step", 2, "RUN sleep 0.3; echo first"), ("running", 2, ""),
        ("output", 2, "first\n"), ("step", 3, "FROM busybox"), ("step", 4, "COPY a /a"), ("running", 4, ""),
        ("step", 5, "ENV A=1"), ("step", 6, "RUN echo second"), ("running", 6, ""), ("output", 6, "second\n"),
        ("step", 7, "COPY --from=one /bin/sh /sh"), ("running", 7, "")]
    images = [text for kind, _, text in told if kind == "image"]
    assert len(images) == 7
    assert images[0] == images[2] == builder.image("busybox").id
    assert images[-1] == image
    again, same = built(builder, TEXT, ("a", b"1"))
    assert [number for kind, number, _ in again if kind == "cached"] == [2, 4, 6, 7]
    assert same == image


def test_a_failure_is_told_and_raised(builder: Builder) -> None:
    with pytest.raises(BuildError) as caught:
        built(builder, "FROM busybox\nRUN exit 3\n")
    assert caught.value.code == 3
    with pytest.raises(ImageError, match="Cannot locate specified Dockerfile: other"):
        built(builder, "FROM busybox\n", file="other")
    with pytest.raises(ImageError, match="leads out of the image"):
        built(builder, "FROM busybox\n", ("../out", b""))


def test_who_goes_away_ends_the_build(builder: Builder, tmp_path: Path) -> None:
    running = threading.Event()

    async def give_up() -> None:
        tar = layer(("Dockerfile", b"FROM busybox\nRUN echo up; sleep 3456\n"))
        task = asyncio.create_task(door.build(builder, io.BytesIO(tar), Settings(),
                                              lambda p: running.set() if p.kind == "output" else None))
        while not running.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises((asyncio.CancelledError, Cancelled)):
            await task

    asyncio.run(asyncio.wait_for(give_up(), 30))
    assert not _running("sleep\0003456")
    assert list((tmp_path / "images/build/tmp").iterdir()) == []
    assert list((tmp_path / "images/build/contexts").iterdir()) == []


def _running(command: str) -> list[str]:
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and command.encode() in Path("/proc", name, "cmdline").read_bytes():
                found.append(name)
        except OSError:
            continue
    return found
