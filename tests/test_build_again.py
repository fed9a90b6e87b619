"""`kit build` a second time: what has not changed is answered at once, and every change is noticed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kitlib.bench.images import building
from kitlib.images import base
from kitlib.images.build.dockerfile import parse
from kitlib.images.store import ImageStore

pytestmark = pytest.mark.needs("busybox")


class Shop:
    def __init__(self, place: Path) -> None:
        self.home, self.context = place / "home", place / "context"
        self.store = ImageStore(self.home / "images" / "oci")
        base.busybox(self.store)
        for name, text in {"Dockerfile": "FROM busybox\nARG V\nCOPY . /all\nRUN echo $V > /v\n", "a": "1", "dir/b": "1",
                           "secret/c": "1", ".dockerignore": "secret\n"}.items():
            (self.context / name).parent.mkdir(parents=True, exist_ok=True)
            (self.context / name).write_text(text)
        self.settle()

    def settle(self) -> None:
        """Until what has been written is older than the clock's grain."""
        time.sleep(0.06)

    def build(self, *more: str, **env: str) -> str:
        """What the last line says: unchanged, or the seconds of a build."""
        done = subprocess.run([sys.executable, "-m", "kitlib.cli.main", "build", str(self.context), "-t", "app", *more],
                              capture_output=True, text=True, check=False,
                              env={**os.environ, "KIT_HOME": str(self.home), **env})
        assert done.returncode == 0, done.stderr
        return "unchanged" if done.stdout.endswith("unchanged\n") else "built"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_what_has_not_changed_is_answered_at_once(shop: Shop) -> None:
    assert shop.build() == "built"
    assert shop.build() == "unchanged"
    (shop.context / "secret/c").write_text("other")  # .dockerignore hides it
    assert shop.build() == "unchanged"
    assert shop.build("--no-cache") == "built"


def test_every_change_is_noticed(shop: Shop) -> None:
    image = shop.store.find("busybox")
    assert image is not None
    changes = {
        "a file": lambda: (shop.context / "a").write_text("2"),
        "another of the same size": lambda: (shop.context / "dir/b").write_text("3"),
        "a new one": lambda: (shop.context / "dir/new").write_text(""),
        "its mode": lambda: (shop.context / "a").chmod(0o600),
        "one that is gone": (shop.context / "dir/new").unlink,
        "the Dockerfile": lambda: (shop.context / "Dockerfile").write_text("FROM busybox\nCOPY a /\n"),
        "the image's name": lambda: shop.store.tag("docker.io/library/app:latest", image.manifest),
        "its base": lambda: shop.store.forget(image)}
    shop.build()
    for what, change in changes.items():
        change()
        shop.settle()
        assert shop.build() == "built", what
        if what != "its base":
            assert shop.build() == "unchanged", what


def test_variables_count(shop: Shop) -> None:
    shop.build("--build-arg", "V", V="1")
    assert shop.build("--build-arg", "V", V="1") == "unchanged"
    assert shop.build("--build-arg", "V", V="2") == "built"
    assert shop.build("--build-arg", "V", V="2", SOURCE_DATE_EPOCH="1") == "built"


def test_the_bench_has_twenty_steps(tmp_path: Path) -> None:
    found = parse(building.DOCKERFILE).instructions
    assert sum(1 for each in found if each.name != "FROM") == 20
    context = building.make(tmp_path / "context")
    assert sum(1 for path in context.rglob("*") if path.is_file()) == 32
