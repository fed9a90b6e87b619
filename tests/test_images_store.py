"""The image store and its archives: what comes in is checked, what goes out is the same, and two may do it at once."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import zstandard
from image_files import docker_archive, layer, oci_layout, tree

from kitlib.images import archive
from kitlib.images.errors import ImageError
from kitlib.images.layer import Whiteouts
from kitlib.images.store import ImageStore

BASE = layer(("etc/motd", b"hello"), ("etc/old", b"x"))
TOP = layer(("etc/.wh.old", b""), ("app", b"#!"))


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "store")


def test_what_docker_saved_is_loaded(store: ImageStore, tmp_path: Path) -> None:
    [image] = archive.load(store, docker_archive(tmp_path / "a.tar", [BASE, TOP], "kit/app:v1", Cmd=["/app"]))
    assert (image.name, image.config["config"]) == ("docker.io/kit/app:v1", {"Cmd": ["/app"]})
    assert store.find("kit/app:v1") == image
    assert store.find(image.id[7:19]) == image
    assert tree(store.flat(image)) == {"app": "#!", "etc": "/", "etc/motd": "hello"}
    assert store.flat(image) == store.flat(image)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress, bytes])
def test_an_oci_layout_is_loaded_as_a_directory_and_as_a_tar(store: ImageStore, tmp_path: Path, compress: object
                                                             ) -> None:
    root = oci_layout(tmp_path / "layout", [BASE, TOP], "docker.io/kit/app:v2", compress)
    packed = tmp_path / "layout.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(root, ".")
    [first], [second] = archive.load(store, root), archive.load(store, packed)
    assert first == second
    assert first.name == "docker.io/kit/app:v2"
    assert tree(store.unpacked(first, 0, Whiteouts.REMOVE)) == {"etc": "/", "etc/motd": "hello", "etc/old": "x"}


def test_what_was_saved_can_be_loaded_and_is_always_the_same(store: ImageStore, tmp_path: Path) -> None:
    [image] = archive.load(store, docker_archive(tmp_path / "a.tar", [BASE, TOP], "kit/app:v1"))
    outs = [io.BytesIO(), io.BytesIO()]
    for out in outs:
        archive.save(store, [image], out)
    assert outs[0].getvalue() == outs[1].getvalue()
    (tmp_path / "saved.tar").write_bytes(outs[0].getvalue())
    other = ImageStore(tmp_path / "other")
    assert archive.load(other, tmp_path / "saved.tar") == [image]


def spoiled(tmp_path: Path, **files: bytes) -> Path:
    path = tmp_path / "bad.tar"
    path.write_bytes(layer(*((name.replace("_", "."), data) for name, data in files.items())))
    return path


def test_bad_archives_are_refused_in_a_sentence_and_leave_no_name(store: ImageStore, tmp_path: Path) -> None:
    wrong = docker_archive(tmp_path / "w.tar", [BASE], "kit/app")
    with tarfile.open(wrong) as tar:
        parts = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
    parts["0/layer.tar"] = TOP
    wrong.write_bytes(layer(*parts.items()))
    layout = oci_layout(tmp_path / "layout", [BASE])
    next(p for p in (layout / "blobs/sha256").iterdir() if p.read_bytes()[:2] == b"\x1f\x8b").write_bytes(b"other")
    cases = ((tmp_path / "none", "there is no such file"), (Path(__file__), "neither an image archive"),
             (spoiled(tmp_path, hello=b""), "neither index.json"), (wrong, "but the config says sha256:"),
             (layout, "it was damaged on its way"), (tmp_path, "neither index.json"))
    for path, sentence in cases:
        with pytest.raises(ImageError) as caught:
            archive.load(store, path)
        assert sentence in str(caught.value)
    for files, sentence in (({"manifest_json": b"{"}, "is no JSON"), ({"manifest_json": b"[]"}, "lists no images"),
                            ({"index_json": b'{"manifests": [{}]}'}, "has no digest"),
                            ({"manifest_json": b'[{"Config": "c"}]'}, "c is missing")):
        with pytest.raises(ImageError) as caught:
            archive.load(store, spoiled(tmp_path, **files))
        assert sentence in str(caught.value)
    assert store.names() == {}


def test_a_name_moves_and_what_had_it_stays_nameless_until_it_is_collected(store: ImageStore, tmp_path: Path) -> None:
    [old] = archive.load(store, docker_archive(tmp_path / "a.tar", [BASE], "kit/app"))
    [new] = archive.load(store, docker_archive(tmp_path / "b.tar", [BASE, TOP], "kit/app"))
    assert {i.id: i.name for i in store.images()} == {old.id: "", new.id: "docker.io/kit/app:latest"}
    store.flat(old)
    nameless = store.find(old.id)
    assert nameless is not None
    store.forget(nameless)
    assert store.collect() > 0
    assert [i.id for i in store.images()] == [new.id]
    assert tree(store.flat(new))["app"] == "#!"
    store.forget(new)
    store.collect()
    assert list((store.root / "blobs/sha256").iterdir()) == []


def test_an_image_for_another_machine_says_so(store: ImageStore, tmp_path: Path) -> None:
    layout = oci_layout(tmp_path / "layout", [BASE])
    index = json.loads((layout / "index.json").read_text())
    foreign = {"schemaVersion": 2, "manifests": [index["manifests"][0] | {"platform": {"os": "plan9",
                                                                                      "architecture": "mips"}}]}
    data = json.dumps(foreign).encode()
    descriptor = store.write(data, "application/vnd.oci.image.index.v1+json")
    store.tag("docker.io/kit/odd:1", descriptor)
    with pytest.raises(ImageError, match="is for plan9/mips, and this machine is linux/"):
        store.find("kit/odd:1")


def test_two_processes_load_at_once(store: ImageStore, tmp_path: Path) -> None:
    code = ("import sys; from pathlib import Path; from kitlib.images import archive; from kitlib.images.store import "
            "ImageStore; archive.load(ImageStore(Path(sys.argv[1])), Path(sys.argv[2]))")
    files = [docker_archive(tmp_path / f"{i}.tar", [BASE, layer((f"f{i}", b"x"))], f"kit/app:{i}") for i in range(4)]
    running = [subprocess.Popen([sys.executable, "-c", code, str(store.root), str(file)]) for file in files]
    assert [process.wait(60) for process in running] == [0] * 4
    assert sorted(store.names()) == [f"docker.io/kit/app:{i}" for i in range(4)]
    assert len(store.images()) == 4


def test_kit_image_on_the_command_line(tmp_path: Path) -> None:
    def kit(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "kitlib.cli.main", "image", *arguments], capture_output=True,
                              text=True, check=False, env={**__import__("os").environ, "KIT_HOME": str(tmp_path / "k")})

    file = docker_archive(tmp_path / "a.tar", [BASE, TOP], "kit/app:v1")
    assert kit("load", str(file)).stdout == "Loaded image: kit/app:v1\n"
    assert kit("tag", "kit/app:v1", "kit/app:v2").returncode == 0
    lines = kit("list").stdout.splitlines()
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "LAYERS", "SIZE"]
    assert [line.split()[:2] for line in lines[1:]] == [["kit/app", "v1"], ["kit/app", "v2"]]
    assert kit("save", "kit/app:v1", "-o", str(tmp_path / "s.tar")).returncode == 0
    assert json.loads(kit("inspect", "kit/app:v2").stdout)["config"]["os"] == "linux"
    assert kit("rm", "kit/app:v1", "kit/app:v2").stdout == "Untagged: kit/app:v1\nUntagged: kit/app:v2\n"
    refused = kit("inspect", "kit/app:v1")
    assert (refused.returncode, refused.stderr) == (
        1, "kit: there is no image kit/app:v1 in the store: `kit image list` shows what there is.\n")
    assert kit("load", str(tmp_path / "none.tar")).stderr.endswith("none.tar: there is no such file.\n")
    assert kit("load").returncode == 2


@pytest.mark.needs("docker", "skopeo")
def test_round_trips_with_docker_and_skopeo(store: ImageStore, tmp_path: Path) -> None:
    name = f"kit-test/roundtrip:{tmp_path.name[-1]}"
    subprocess.run(["docker", "import", "-", name], input=BASE, check=True, capture_output=True)
    try:
        subprocess.run(["docker", "save", name, "-o", str(tmp_path / "d.tar")], check=True)
        [image] = archive.load(store, tmp_path / "d.tar")
        known = json.loads(subprocess.run(["docker", "image", "inspect", name], check=True, capture_output=True).stdout)
        assert (image.name, image.id) == (f"docker.io/{name}", known[0]["Id"])
        with open(tmp_path / "k.tar", "wb") as file:
            archive.save(store, [image], file)
        subprocess.run(["docker", "rmi", name], check=True, capture_output=True)
        said = subprocess.run(["docker", "load", "-i", str(tmp_path / "k.tar")], check=True, capture_output=True,
                              text=True).stdout
        assert name in said
        again = json.loads(subprocess.run(["docker", "image", "inspect", name], check=True, capture_output=True).stdout)
        assert again[0]["Id"] == image.id
    finally:
        subprocess.run(["docker", "rmi", name], check=False, capture_output=True)
    for source in (f"docker-archive:{tmp_path}/k.tar", f"oci-archive:{tmp_path}/k.tar", f"oci:{store.root}"):
        target = tmp_path / source.partition(":")[0]
        subprocess.run(["skopeo", "copy", "--insecure-policy", source, f"oci:{target}:x"], check=True,
                       capture_output=True)
        [copied] = archive.load(ImageStore(tmp_path / f"s-{target.name}"), target, "kit/copied")
        assert copied.diff_ids == image.diff_ids
