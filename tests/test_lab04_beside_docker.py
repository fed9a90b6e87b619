"""lab04's Dockerfiles are Docker's, too: BuildKit makes the same files and the same configuration of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import BASE, Builders, differences

from kitlib.book import files
from kitlib.images.samples import PROJECTS, SHOP, TOOLCHAIN, put

pytestmark = [pytest.mark.needs("docker", "buildkit"), pytest.mark.needs("busybox"), pytest.mark.needs("root")]
TOOLCHAIN_HERE = "kit-build-toolchain:1"
MOUNTED = ("var/cache", "var/cache/pkg", "run", "run/secrets", "run/secrets/token")  # an old engine leaves these behind


def answers() -> dict[str, str]:
    """Exercise → the solution's Dockerfile, of those that end in an image; and the shop's own."""
    found = {"shop": SHOP["Dockerfile"]}
    for cell in files.read(files.solution("lab04_buildkit"))["cells"]:
        role, name = files.role(cell)
        text = re.search(r"dockerfile = '''\n(.*?)'''", files.source(cell), re.DOTALL)
        if role == "answer" and text:
            found[name] = text[1]
    return found


@pytest.fixture(scope="module")
def builders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builders]:
    found = Builders(tmp_path_factory.mktemp("builders"))
    try:
        context = found.place / "toolchain"
        put(context, TOOLCHAIN)
        put(context, {"Dockerfile": here(TOOLCHAIN["Dockerfile"])})
        ours = found.kit(context, here(TOOLCHAIN["Dockerfile"]), TOOLCHAIN_HERE)
        theirs = found.docker("buildkit", context, context / "Dockerfile", name=TOOLCHAIN_HERE)
        assert differences(ours, theirs, ("tree", "config")) == []
        yield found
    finally:
        found.close()


def here(text: str) -> str:
    """With the names that its images have in this test."""
    return text.replace("FROM busybox", f"FROM {BASE}").replace("FROM kit/toolchain", f"FROM {TOOLCHAIN_HERE}")


def test_the_chapter_has_dockerfiles() -> None:
    assert {"shop", "order", "cache_mount", "multi_stage", "secret", "rootless"} <= set(answers())


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["shop", "secret", "rootless"])
def test_buildkit_makes_the_same_of_it(builders: Builders, tmp_path: Path, name: str) -> None:
    text = here(answers()[name])
    context = tmp_path / "context"
    put(context, PROJECTS["invoice" if name == "secret" else "shop"])
    (tmp_path / "token").write_text("s3cret")
    (tmp_path / "Dockerfile").write_text(text)
    ours = builders.kit(context, text, secrets={"token": b"s3cret"})
    theirs = builders.docker("buildkit", context, tmp_path / "Dockerfile",
                             ["--secret", f"id=token,src={tmp_path / 'token'}"])
    for path in MOUNTED:
        if path not in ours.tree:
            theirs.tree.pop(path, "")
    assert differences(ours, theirs, ("tree", "config")) == []
