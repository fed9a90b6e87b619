"""What a check sees of a container engine is what is in an image, not what the engine says about it."""

from __future__ import annotations

from typing import Any

import image_files
import pytest
from docker.errors import NotFound

from kitlib.checks import engine as door
from kitlib.checks.engine import Engine
from kitlib.checks.framework import Wrong
from kitlib.checks.world import World

LAYERS = (image_files.layer(("etc", None), ("etc/motd", b"hello\n"), ("key", b"s3cret-1234")),
          image_files.layer(("etc/motd", b"hello, world\n"), (".wh.key", b"")))


class FakeApi:
    """An engine that has these archives, and says about them what it likes."""

    def __init__(self, archives: dict[str, bytes]) -> None:
        self.archives, self.fetched = archives, 0

    def inspect_image(self, name: str) -> dict[str, Any]:
        if name not in self.archives:
            raise NotFound("no such image")
        return {"Id": "sha256:" + "0" * 64, "Config": {"User": "nobody"}}

    def get_image(self, name: str) -> Any:
        self.fetched += 1
        return iter([self.archives[name]])

    def images(self) -> list[dict[str, Any]]:
        return [{"RepoTags": [name]} for name in self.archives] + [{"RepoTags": None}, {"RepoTags": ["<none>:<none>"]}]


def engine_with(tmp_path, layers=LAYERS, **settings):
    archive = image_files.docker_archive(tmp_path / "a.tar", layers, "lab/a:1", **settings).read_bytes()
    engine = Engine("unix:///nowhere")
    engine.__dict__["api"] = FakeApi({"lab/a:1": archive})
    return engine


def test_an_image_is_what_is_in_it(tmp_path):
    engine = engine_with(tmp_path, User="root")
    image = engine.image("lab/a:1", "a hint")
    assert len(image.layers) == 2
    assert image.config == {"User": "root"}, "not what inspect says"
    assert sorted(image.files) == ["etc", "etc/motd"]
    assert image.read("/etc/motd") == b"hello, world\n"
    assert (image.read("key"), image.read("etc")) == (None, None)
    assert image.layers_with(b"s3cret-1234") == [1], "hidden is not gone"
    assert image.report.wasted_bytes > 0
    engine.image("lab/a:1", "a hint")
    assert engine.api.fetched == 1


def test_an_image_that_is_not_there_is_the_learners_business(tmp_path):
    with pytest.raises(Wrong) as wrong:
        engine_with(tmp_path).image("lab/b:1", "a hint")
    assert (wrong.value.help, wrong.value.actual) == ("a hint", ["lab/a:1"])


def test_a_layer_that_is_not_what_the_config_says_is_refused(tmp_path):
    engine = engine_with(tmp_path)
    engine.api.archives["lab/a:1"] = engine.api.archives["lab/a:1"].replace(b"hello, world", b"hello, wurld")
    with pytest.raises(Wrong, match="not whole"):
        engine.find("lab/a:1")


def test_an_image_without_end_is_not_fetched_to_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(door, "LARGEST", 1000)
    with pytest.raises(Wrong, match="larger than"):
        engine_with(tmp_path).find("lab/a:1")


def test_a_world_that_is_closed_leaves_nothing_and_can_look_again():
    world = World(None, "lab", engine="unix:///nowhere")
    first = world.engine._place
    world.close()
    world.close()
    assert not first.exists()
    assert world.engine._place != first
    world.close()


def test_a_chapter_without_an_engine_has_none():
    with pytest.raises(ValueError, match="ENGINE = True"):
        World(None, "lab").engine  # noqa: B018
