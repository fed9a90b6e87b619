"""The same Dockerfiles built by `kit build` and by Docker's builders: equal files, configuration and history."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import contexts
import pytest
from builders import Builders, Seen, build, differences

from kitlib.images.build.build import Builder, BuildError
from kitlib.images.build.dockerfile import DockerfileError
from kitlib.images.store import ImageStore

pytestmark = [pytest.mark.needs("docker"), pytest.mark.needs("busybox"), pytest.mark.needs("root")]
DOCKERFILES = Path(__file__).parent / "dockerfiles"
NAMES = sorted(path.stem for path in DOCKERFILES.glob("*.Dockerfile"))
# What the classic builder of Docker knows, or does as BuildKit does; each takes seconds there.
CLASSIC = ("run", "words")
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


@pytest.mark.needs("buildkit")
@pytest.mark.parametrize("name", NAMES)
def test_buildkit_makes_the_same(builders: Builders, context: Path, name: str) -> None:
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


@pytest.mark.needs("buildkit")
@pytest.mark.parametrize(("text", "said"), [
    ("RUN x", "no build stage in current context"), ("FROM scratch\nRUNN x", "unknown instruction: RUNN"),
    ("FROM scratch\nCOPY x", "COPY requires at least two arguments, but only"),
    ("FROM a b", "FROM requires either one or three arguments"), ("FROM scratch\nENV A", "ENV must have two arguments"),
    ("FROM scratch\nENV A=1 B", "can't find = in"), ("FROM scratch\nEXPOSE 99999", "Invalid containerPort: 99999"),
    ("FROM scratch\nCOPY --nope x y", "unknown flag: nope"), ("FROM scratch\nLABEL x=${A", "failed to process"),
    ("FROM $NOTHING", "base name ($NOTHING) should not be blank"), ("FROM scratch\nUSER", "USER requires exactly one"),
    ("FROM Upper", "invalid reference format: repository name must be lowercase"),
    ("FROM scratch\nENV =x", "ENV names can not be blank"), ("FROM scratch\nCOPY nothing /", "not found")])
def test_mistakes_are_called_the_same(tmp_path: Path, context: Path, text: str, said: str) -> None:
    (tmp_path / "Dockerfile").write_text(f"{text}\n")
    theirs = build("buildkit", context, ["-f", str(tmp_path / "Dockerfile")])
    assert theirs.returncode != 0
    assert said.lower() in theirs.stdout.lower()
    with pytest.raises((DockerfileError, BuildError)) as caught:
        Builder(ImageStore(tmp_path / "images" / "oci")).build(context, f"{text}\n")
    assert said.lower() in str(caught.value).lower()
    assert re.match(r"Dockerfile:\d+:", str(caught.value))
