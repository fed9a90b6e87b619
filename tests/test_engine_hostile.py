"""Tars that want to get out, by every door of an engine: refused or kept inside, and the engine goes on."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.models.containers import Container
from engine_support import BASE, OURS, PREFIX, Done, Engine, at_once, context
from image_files import config, docker_archive, layer


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory of the host that nobody may write to or read from."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "secret").write_text(f"secret of {PREFIX}\n")
    return place


def hostile(outside: Path) -> dict[str, bytes]:
    """One tar for each trick."""
    up = "../" * 16 + str(outside).lstrip("/")
    device = io.BytesIO()
    with tarfile.open(fileobj=device, mode="w") as tar:
        info = tarfile.TarInfo("d")
        info.type, info.linkname = tarfile.SYMTYPE, str(outside)
        tar.addfile(info)
        info = tarfile.TarInfo("d/through")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"in"))
    return {"up": layer((f"{up}/up", b"in")), "absolute": layer((f"{outside}/absolute", b"in")),
            "through a link": device.getvalue(),
            "a link up": layer(("l", f"-> {up}"), ("l/linked", b"in")),
            "a hard link": layer(("h", f"= {up}/secret"), ("h2", f"= {outside}/secret")),
            "nothing": b"", "noise": bytes(range(256)) * 40, "cut": layer(("f", b"x" * 5000))[:1500]}


def is_untouched(outside: Path) -> bool:
    return os.listdir(outside) == ["secret"] and (outside / "secret").read_text() == f"secret of {PREFIX}\n"


def goes_on(engine: Engine, done: Done) -> None:
    assert "Traceback" not in done.err + done.out
    assert "secret of" not in done.out
    assert engine.sdk.ping()


@pytest.fixture(scope="module")
def container(engine_of_session: Engine) -> Iterator[Container]:
    made = engine_of_session.sdk.containers.create(BASE, ["true"], labels=OURS)
    yield made
    made.remove(force=True)


@pytest.mark.parametrize("trick", hostile(Path("/")))
def test_no_tar_gets_out(engine: Engine, container: Container, outside: Path, trick: str) -> None:
    tar, name = hostile(outside)[trick], f"{PREFIX}/hostile"
    place = context(outside.parent / "context", Dockerfile=f"FROM {BASE}\nADD evil.tar /in/\n", evil_tar=tar)
    archive = docker_archive(outside.parent / "a.tar", [tar], f"{name}:load").read_bytes()
    doors = {("import", "-", f"{name}:import"): tar, ("cp", "-", f"{container.name}:/"): tar,
             ("build", "-t", f"{name}:context", "-"): tar, ("load",): archive,
             ("build", "--force-rm", "-t", f"{name}:add", str(place)): b""}
    for done in at_once(lambda door: engine.docker(*door, stdin=doors[door]), doors).values():
        goes_on(engine, done)
    if engine.docker("image", "inspect", f"{name}:add").code == 0:  # what was taken in all the same is looked at
        goes_on(engine, engine.docker("run", "--rm", f"{name}:add", "sh", "-c", "cat /in/h /in/h2"))
    assert is_untouched(outside)
    engine.docker("rmi", "-f", *(f"{name}:{tag}" for tag in ("import", "context", "load", "add")))


@pytest.mark.parametrize("trick", ["noise", "cut"])
def test_what_is_no_layer_becomes_no_image(engine: Engine, outside: Path, trick: str) -> None:
    tar, name = hostile(outside)[trick], f"{PREFIX}/damaged"
    archive = docker_archive(outside.parent / "a.tar", [tar], name).read_bytes()
    for done in (engine.docker("import", "-", name, stdin=tar), engine.docker("load", stdin=archive)):
        assert (done.code, done.out) == (1, ""), done
        goes_on(engine, done)
    assert engine.docker("image", "inspect", name).code == 1
    assert engine("images", BASE)  # and the list of the others is whole


@pytest.mark.parametrize("names", [("../config.json", "0/layer.tar"), ("config.json", "../../etc/passwd"),
                                   ("/etc/passwd", "/etc/passwd"), ("config.json", "0")])
def test_archives_whose_parts_lie_elsewhere(engine: Engine, names: tuple[str, str]) -> None:
    inner = layer(("f", b"x"))
    manifest = json.dumps([{"Config": names[0], "RepoTags": [f"{PREFIX}/elsewhere:1"], "Layers": [names[1]]}]).encode()
    done = engine.docker("load", stdin=layer(("manifest.json", manifest), ("config.json", config([inner])),
                                             ("0/layer.tar", inner)))
    assert done.code == 1, done
    goes_on(engine, done)
    assert engine.docker("image", "inspect", f"{PREFIX}/elsewhere:1").code == 1
