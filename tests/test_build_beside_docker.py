"""The same Dockerfiles built by `kit build` and by Docker's builders: equal files, configuration and history."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import contexts
import pytest
from builders import Builders, Seen, buildkit_client, differences

pytestmark = [pytest.mark.needs("docker"), pytest.mark.needs("busybox"), pytest.mark.needs("root")]
DOCKERFILES = Path(__file__).parent / "dockerfiles"
NAMES = sorted(path.stem for path in DOCKERFILES.glob("*.Dockerfile"))
# What the classic builder of Docker knows, or does as BuildKit does; each takes seconds there.
CLASSIC = ("configuration", "run", "triggers", "words")
# Only because the engine is an old one: directories that it leaves where something was mounted (newer ones do not).
MOUNTED = {"mounts": ("cache", "cache2", "ctx", "mem", "o", "run", "run/secrets", "seeded", "w/rel")}


@pytest.fixture(scope="module")
def builders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builders]:
    found = Builders(tmp_path_factory.mktemp("builders"))
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return contexts.make(tmp_path_factory.mktemp("context") / "it")


def ours(builders: Builders, context: Path, name: str, **more: bool) -> Seen:
    text = (DOCKERFILES / f"{name}.Dockerfile").read_text()
    return builders.kit(context, text, args=contexts.ARGS, secrets=contexts.SECRETS, **more)


@pytest.mark.parametrize("name", NAMES)
def test_buildkit_makes_the_same(builders: Builders, context: Path, name: str) -> None:
    if not buildkit_client():
        pytest.skip("no docker command here speaks BuildKit without a plugin")
    found = ours(builders, context, name)
    theirs = builders.docker("buildkit", context, DOCKERFILES / f"{name}.Dockerfile", contexts.OPTIONS)
    for path in MOUNTED.get(name, ()):
        assert theirs.tree.pop(path, "d")[0] == "d"
    assert differences(found, theirs, ("tree", "config")) == []
    assert [said for said, _ in found.history] == [said for said, _ in theirs.history]
    for (said, has_layer), (_, theirs_has) in zip(found.history, theirs.history, strict=True):
        assert has_layer == theirs_has or said.startswith(("RUN", "WORKDIR")), said  # BuildKit keeps empty layers


@pytest.mark.parametrize("name", CLASSIC)
def test_the_classic_builder_makes_the_same(builders: Builders, context: Path, name: str) -> None:
    found = ours(builders, context, name, classic=True)
    theirs = builders.docker("classic", context, DOCKERFILES / f"{name}.Dockerfile", contexts.OPTIONS[:4])
    theirs.tree.pop("v1", None)  # running a container makes its volumes' directories
    for each in (found, theirs):
        each.history = [(re.sub(r"(file|dir|multi):[0-9a-f]{64}", r"\1:…", said), layer)
                        for said, layer in each.history]
    assert differences(found, theirs) == []
