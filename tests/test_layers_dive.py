"""The layer explorer beside dive: sizes, wasted bytes and efficiency are the same to the byte."""

from __future__ import annotations

import gzip
import io
import json
import random
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from image_files import docker_archive, layer

from kitlib.images.explorer import look
from kitlib.images.explorer.report import Report
from kitlib.images.layer import OPAQUE, PREFIX

BIG, SMALL = b"x" * 5000, b"y" * 70
CASES = {
    "files that later layers replace and remove": [
        layer(("a/b/c", b"x" * 100), ("a/d", b"y" * 50), ("e", b"z")), layer(("a/.wh.b", b""), ("a/d", b"y" * 70)),
        layer((".wh.a", b""), ("e", b""), ("f/", None)), layer(("f/g", b"1"), ("l", "-> e"))],
    "hard links": [
        layer(("bin/", None), ("bin/one", BIG), ("bin/two", "= bin/one")), layer(("bin/two", SMALL)),
        layer(("bin/.wh.one", b""), ("bin/three", "= bin/two"))],
    "an opaque directory with nothing in it, and one with something": [
        layer(("d/", None), ("d/a", BIG), ("e/", None), ("e/a", SMALL)), layer((f"d/{OPAQUE}", b"")),
        layer(("e/", None), (f"e/{OPAQUE}", b""), ("e/b", b"1")), layer((".wh.d", b""), ("e/.wh.a", b""))],
    "a directory that a layer has only something in, and a later one removes": [
        layer(("d/", None), ("d/a", BIG)), layer(("d/b", SMALL)), layer((".wh.d", b""))],
    "a directory of its own, removed": [layer(("d/", None), ("d/a", BIG)), layer(("d/", None), ("d/b", SMALL)),
                                        layer((".wh.d", b""))],
    "a file where a directory was, and the other way": [
        layer(("d/", None), ("d/a", BIG), ("f", SMALL)), layer(("d", b"file"), ("f/", None), ("f/in", b"1")),
        layer((".wh.d", b""), (".wh.f", b""))],
    "removed and made again in one layer": [
        layer(("d/", None), ("d/a", BIG)), layer((".wh.d", b""), ("d/", None), ("d/a", SMALL), ("d/.wh.b", b""))],
    "a whiteout of what is not there": [
        layer(("a", BIG), ("m", b"1")), layer(("a", SMALL), (".wh.k", b""), ("m", b"22"), ("z", b"3")),
        layer(("z", b"33"), ("m", b"4"))],
    "a whiteout in the lowest layer": [
        layer(("b/.wh.x", b""), ("a", b"1"), ("c", b"2")), layer(("a", b"3"), ("c", b"4"))],
    "twice in one layer": [layer(("a", BIG), ("a", SMALL)), layer(("./a", b"1"), ("/b", b"2"))],
    "long names and everything else": [
        layer(("d/" + "n" * 150 + "/" + "m" * 120, BIG), ("ü/→", SMALL)),
        layer(("d/" + "n" * 150 + "/.wh." + "m" * 120, b"")), layer(("ü/.wh.→", b""), ("fifo", b""))],
    "nothing": [layer(), layer(("a", b""))]}


def dive(path: Path, out: Path) -> dict[str, Any]:
    program = Path(sys.executable).with_name("dive")
    subprocess.run([program, f"docker-archive://{path}", "--json", str(out)], check=True, capture_output=True,
                   timeout=60)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def agree(path: Path, tmp_path: Path) -> Report:
    ours, theirs = look.image(f"docker-archive:{path}"), dive(path, tmp_path / "dive.json")
    image = theirs["image"]
    assert [each["sizeBytes"] for each in theirs["layer"]] == [each.size for each in ours.layers]
    assert image["sizeBytes"] == ours.size
    assert image["inefficientBytes"] == ours.wasted_bytes
    assert image["efficiencyScore"] == pytest.approx(ours.efficiency, abs=1e-12)
    assert {(f["file"], f["count"], f["sizeBytes"]) for f in image["fileReference"]} == {
        ("/" + w.path, w.count, w.size) for w in ours.wasted}
    return ours


@pytest.mark.parametrize("name", CASES)
def test_by_hand(name: str, tmp_path: Path) -> None:
    agree(docker_archive(tmp_path / "a.tar", CASES[name], "kit/app:1"), tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_at_random(seed: int, tmp_path: Path) -> None:
    """Few names, so that everything meets everything."""
    chance = random.Random(seed)

    def entries() -> Iterator[tuple[str, Any]]:
        for _ in range(chance.randrange(12)):
            parts = [chance.choice("abc") for _ in range(chance.randrange(1, 4))]
            what = chance.choice((b"1" * chance.randrange(900), b"2", None, None, PREFIX, OPAQUE, "-> a", "= a"))
            if what == PREFIX:
                yield "/".join([*parts[:-1], PREFIX + parts[-1]]), b""
            elif what == OPAQUE:
                yield "/".join([*parts, OPAQUE]), b""
            else:
                yield "/".join(parts), what

    layers = [layer(("a/", None), ("b/", None), *entries())] + [layer(*entries()) for _ in range(12)]
    agree(docker_archive(tmp_path / "a.tar", layers, "kit/app:1"), tmp_path)


def test_layers_in_gzip(tmp_path: Path) -> None:
    path = docker_archive(tmp_path / "plain.tar", CASES["hard links"], "kit/app:1")
    packed = tmp_path / "packed.tar"
    with tarfile.open(path) as old, tarfile.open(packed, "w") as new:
        for member in old:
            file = old.extractfile(member)
            assert file is not None
            data = file.read()
            if member.name.endswith("layer.tar"):
                member.name, data = member.name.replace("layer.tar", "layer.tar.gz"), gzip.compress(data)
            elif member.name == "manifest.json":
                data = data.replace(b"layer.tar", b"layer.tar.gz")
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    assert agree(packed, tmp_path).wasted_bytes == look.image(path).wasted_bytes > 0


@pytest.mark.needs("docker")
@pytest.mark.needs("busybox")
def test_built_by_docker(tmp_path: Path) -> None:
    place = tmp_path / "context"
    place.mkdir()
    (place / "busybox").write_bytes(Path("/bin/busybox").read_bytes())
    (place / "busybox").chmod(0o755)
    (place / ".env").write_text("PASSWORD=hunter22\n")
    (place / "Dockerfile").write_text("""
FROM scratch
ADD busybox /bin/busybox
SHELL ["/bin/busybox", "sh", "-c"]
RUN busybox mkdir -p /srv/a/b /tmp/x && busybox dd if=/dev/zero of=/srv/a/big bs=1000 count=300 \\
    && busybox ln /srv/a/big /srv/a/same && busybox ln -s big /srv/a/link && echo 1 > /srv/a/b/one
COPY .env /root/.env
RUN busybox rm -rf /srv/a /root/.env && busybox mkdir -p /srv/a && echo 2 > /srv/a/two
RUN busybox rm -rf /tmp/x && echo file > /tmp/x && busybox chmod 700 /bin/busybox
ENV MODE=test
""")
    name = "explorer-test:dive"
    subprocess.run(["docker", "build", "-q", "-t", name, str(place)], check=True, capture_output=True)
    try:
        subprocess.run(["docker", "save", "-o", str(tmp_path / "a.tar"), name], check=True, capture_output=True)
        found = agree(tmp_path / "a.tar", tmp_path)
        assert found.wasted_bytes > 600_000
        assert [(s.where, s.hidden_by is not None) for s in found.secrets] == [("/root/.env", True)]
        assert look.image(f"docker://{name}").json() == {**found.json(), "name": name}
    finally:
        subprocess.run(["docker", "rmi", "-f", name], check=False, capture_output=True)
