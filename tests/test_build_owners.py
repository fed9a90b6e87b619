"""Owners, modes and digests are the same whoever builds: root in namespaces, an ordinary user, and with proot."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import unprivileged
from image_files import layer

from kitlib.images import base
from kitlib.images.build.build import Builder
from kitlib.images.store import ImageStore

DOCKERFILE = """FROM busybox AS build
RUN echo 'app:x:1000:2000::/home/app:/bin/sh' >> /etc/passwd && mkdir -m 700 /private && echo 1 > /private/a
COPY --chown=app:5 a.txt /owned/deep/a
COPY --chown=7 --chmod=4751 a.txt /owned/suid
USER app
WORKDIR /home/app
USER 0
RUN echo more >> /owned/deep/a && chmod 2755 /owned && touch /new && ln /owned/deep/a /hard
RUN chown 8:9 /new && chown -R app /private && chgrp 3 /owned/deep && chown -h 5:6 /owned/deep/a
RUN mkdir /gone && rm -r /etc/group
USER app
FROM busybox
ADD in.tar /tar/
COPY --from=build /owned /copied
COPY --from=build /home /home
COPY --from=build /new /private/a /files/
RUN rm /copied/suid && echo 2 > /copied/other
RUN chmod 711 /etc
"""


def build(place: Path) -> dict[str, Any]:
    """Build it below a directory: the image's digest, and what each file is."""
    context = place / "context"
    context.mkdir()
    (context / "a.txt").write_text("a\n")
    (context / "in.tar").write_bytes(layer(("in", None), ("in/file", b"x"), uid=11, gid=12, mtime=1_000_000_000))
    for path in context.iterdir():
        path.chmod(0o644)
        os.utime(path, (1e9, 1e9))
    store = ImageStore(place / "images" / "oci")
    base.busybox(store)
    os.environ["SOURCE_DATE_EPOCH"] = "1000000000"
    image = Builder(store).build(context, DOCKERFILE).image
    found, layers = {}, []
    for one in image.layers[1:]:
        with tarfile.open(fileobj=io.BytesIO(store.blob(one.digest).read_bytes())) as tar:
            for member in tar:
                found[member.name] = f"{member.mode:o} {member.uid}:{member.gid}"
                layers.append(f"{one.digest[7:13]} {member.name} {found[member.name]} {member.mtime} {member.linkname}")
    return {"digest": image.digest, "files": found, "layers": layers}


EXPECTED = {"tar/in": "755 11:12", "tar/in/file": "644 11:12", "copied/deep": "755 1000:3", "copied/deep/a": "644 5:6",
            "home/app": "755 1000:2000", "files/new": "644 8:9", "files/a": "644 1000:0", "copied/other": "644 0:0",
            "etc": "711 0:0"}  # where something is mounted into, too


@pytest.mark.needs("busybox")
@pytest.mark.needs("root")
def test_as_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    found = build(tmp_path)
    assert {path: found["files"][path] for path in EXPECTED} == EXPECTED


@pytest.mark.needs("docker", "busybox", "proot", "root")
@pytest.mark.parametrize("place", ["laptop", "binder"])
def test_an_ordinary_user_builds_the_same_image_bit_for_bit(place: str, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    ours = build(tmp_path)
    done = unprivileged.run(place, [sys.executable, __file__], timeout=120)
    assert done.returncode == 0, done.stdout
    theirs = json.loads(done.stdout.splitlines()[-1])
    assert sorted(set(theirs["layers"]) ^ set(ours["layers"])) == []
    assert theirs["digest"] == ours["digest"]


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(build(Path(scratch))))
