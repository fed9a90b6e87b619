"""Images: list, inspect, history, names, save, load, import, remove, prune; and push and pull by `kit registry`."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker.errors
import pytest
from engine_support import BASE, LABEL, PREFIX, Engine, context, saved, small_tar
from image_files import layer
from registry_client import serving
from support import eventually

from kitlib.images import archive
from kitlib.images.registry.client import pull, push
from kitlib.images.registry.server import Registry
from kitlib.images.store import ImageStore

SMALL = small_tar(hello=b"world\n", d__e=b"deep\n", whose=PREFIX.encode())  # a layer that nobody else has


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with serving(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def small(engine: Engine) -> Iterator[str]:
    """An image of one layer, by docker import."""
    name = f"{PREFIX}/small:v1"
    engine("import", "-", name, stdin=SMALL)
    yield name
    engine.docker("rmi", "-f", name)


def test_images_as_a_table_and_by_filters(engine: Engine) -> None:
    engine("tag", BASE, f"{PREFIX}/list-a")
    engine("tag", BASE, f"{PREFIX}/list-b:v2")
    lines = engine("images", f"{PREFIX}/list-*").splitlines()
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert sorted(line.split()[:2] for line in lines[1:]) == [  # names of one image come in no order
        [f"{PREFIX}/list-a", "latest"], [f"{PREFIX}/list-b", "v2"]]
    identity = engine.inspect(BASE, "image")["Id"]
    assert engine("images", "-q", BASE) == identity[7:19]
    assert engine("images", "-q", "--no-trunc", f"{PREFIX}/list-b") == identity
    assert engine("images", "--filter", f"reference={PREFIX}/*-b", "--format", "{{.Repository}}:{{.Tag}}") == (
        f"{PREFIX}/list-b:v2")
    assert "nvalid filter" in engine.refused("images", "--filter", "odd=1")
    assert engine("rmi", f"{PREFIX}/list-a", f"{PREFIX}/list-b:v2") == (
        f"Untagged: {PREFIX}/list-a:latest\nUntagged: {PREFIX}/list-b:v2")


def test_inspect(engine: Engine) -> None:
    found = engine.inspect(BASE, "image")
    assert found["RepoTags"] == [f"{BASE}:latest"]
    assert (found["Os"], found["Architecture"], found["RootFS"]["Type"]) == ("linux", "amd64", "layers")
    assert found["Config"]["Cmd"] == ["sh"]
    assert found["Size"] > 1_000_000
    engine.agree("rootfs", found["RootFS"]["Layers"][0])
    engine.agree("id", found["Id"][:19])  # the same archive was loaded, so it is the same image
    engine.agree("size", found["Size"])
    engine.agree("keys", sorted(set(found) - {"Container", "ContainerConfig", "VirtualSize", "DockerVersion",
                                              "Descriptor"}))
    for known in (BASE, f"{BASE}:latest", found["Id"], found["Id"][7:], found["Id"][7:19]):
        assert engine.inspect(known, "image")["Id"] == found["Id"]
    assert engine.refused("image", "inspect", "no-such").lower().startswith("no such image: no-such")


def test_history(engine: Engine) -> None:
    [entry] = engine.sdk.images.get(BASE).history()
    assert entry["CreatedBy"].startswith("kit image base")
    assert entry["Tags"] == [f"{BASE}:latest"]
    engine.agree("entry", entry)
    lines = engine("history", BASE).splitlines()
    assert lines[0].split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert engine("history", "-q", "--no-trunc", BASE) == engine.inspect(BASE, "image")["Id"]
    assert engine.refused("history", "no-such").startswith("No such image: no-such")


def test_names(engine: Engine, small: str) -> None:
    for name in (f"{PREFIX}/small:v2", f"localhost:9/{PREFIX}/x", f"docker.io/{PREFIX}/full:1"):
        engine("tag", small, name)
    found = engine.inspect(small, "image")
    assert sorted(found["RepoTags"]) == sorted([small, f"{PREFIX}/small:v2", f"localhost:9/{PREFIX}/x:latest",
                                                f"{PREFIX}/full:1"])
    assert engine.inspect(f"docker.io/{PREFIX}/small:v2", "image")["Id"] == found["Id"]
    assert "invalid reference format" in engine.refused("tag", small, "UPPER")
    assert engine.refused("tag", "no-such", "x").startswith("No such image: no-such")
    out = engine("rmi", f"{PREFIX}/small:v2", f"localhost:9/{PREFIX}/x", f"{PREFIX}/full:1")
    assert out.splitlines() == [f"Untagged: {PREFIX}/small:v2", f"Untagged: localhost:9/{PREFIX}/x:latest",
                                f"Untagged: {PREFIX}/full:1"]


def test_import(engine: Engine, small: str) -> None:
    image = saved(engine, small)
    engine.agree("layers", image.changes())
    assert image.tree()["hello"][0] == "f"
    name = f"{PREFIX}/imported"
    out = engine("import", "-c", "CMD /hello", "-c", "ENV A=1", "-c", f"LABEL {LABEL}", "-m", "from a tar", "-", name,
                 stdin=SMALL)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", out)
    found = engine.inspect(name, "image")
    assert (found["Comment"], found["Config"]["Cmd"]) == ("from a tar", ["/bin/sh", "-c", "/hello"])
    assert found["Config"]["Env"] == ["A=1"]
    engine("rmi", name)


def test_save_and_load(engine: Engine, small: str, tmp_path: Path) -> None:
    engine("tag", small, f"{PREFIX}/small:also")
    file = tmp_path / "saved.tar"
    engine("save", "-o", str(file), small, f"{PREFIX}/small:also", BASE)
    with tarfile.open(file) as tar:
        names = tar.getnames()
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert "manifest.json" in names
    assert sorted(tag for each in manifest for tag in each["RepoTags"]) == sorted(
        [small, f"{PREFIX}/small:also", f"{BASE}:latest"])
    identity = engine.inspect(small, "image")["Id"]
    engine("rmi", small, f"{PREFIX}/small:also")
    out = engine("load", "-i", str(file))
    assert set(out.splitlines()) == {f"Loaded image: {name}" for name in (
        small, f"{PREFIX}/small:also", f"{BASE}:latest")}
    assert engine.inspect(small, "image")["Id"] == identity
    engine("rmi", f"{PREFIX}/small:also")
    nameless = subprocess.run(["docker", "save", identity], capture_output=True, check=True,
                              env=engine.environment).stdout
    engine("rmi", small)
    assert engine("load", stdin=nameless) == f"Loaded image ID: {identity}"
    engine("rmi", identity)


def test_what_cannot_be_loaded_or_saved(engine: Engine) -> None:
    for data in (b"no tar at all" * 100, layer(("hello", b"x")), layer(("manifest.json", b"{"))):
        done = engine.docker("load", stdin=data)
        assert done.code == 1
        assert "Traceback" not in done.err
    assert "No such image: no-such" in engine.refused("save", "no-such")


def test_kit_image_reads_what_an_engine_saved_and_the_other_way(engine: Engine, small: str, tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "store")
    engine("save", "-o", str(tmp_path / "d.tar"), small)
    [image] = archive.load(store, tmp_path / "d.tar")
    assert image.id == engine.inspect(small, "image")["Id"]
    out = io.BytesIO()
    archive.save(store, [image], out)
    engine("rmi", small)
    assert engine("load", stdin=out.getvalue()) == f"Loaded image: {small}"
    assert engine.inspect(small, "image")["Id"] == image.id


@pytest.mark.needs("skopeo", "umoci")
def test_skopeo_and_umoci_read_what_an_engine_saved(engine: Engine, small: str, tmp_path: Path) -> None:
    engine("save", "-o", str(tmp_path / "d.tar"), small)
    for command in (["skopeo", "copy", "--insecure-policy", f"docker-archive:{tmp_path}/d.tar",
                     f"oci:{tmp_path}/oci:x"],
                    ["umoci", "unpack", "--rootless", "--image", f"{tmp_path}/oci:x", f"{tmp_path}/bundle"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
    root = tmp_path / "bundle/rootfs"
    assert (root / "hello").read_text() == "world\n"
    (root / "hello").unlink()
    (root / "added").write_text("by umoci\n")
    for command in (["umoci", "repack", "--image", f"{tmp_path}/oci:y", f"{tmp_path}/bundle"],
                    ["skopeo", "copy", "--insecure-policy", f"oci:{tmp_path}/oci:y",
                     f"docker-archive:{tmp_path}/back.tar:docker.io/{PREFIX}/back:y"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
    engine("load", "-i", str(tmp_path / "back.tar"))
    image = saved(engine, f"{PREFIX}/back:y")
    assert set(image.tree()) == {"added", "d/e", "whose"}
    assert ".wh.hello" in image.layers[1]
    engine("rmi", f"{PREFIX}/back:y")


def test_rmi_and_what_stands_in_its_way(engine: Engine, small: str) -> None:
    name = engine.named("holder")
    engine("create", "--name", name, small, "x")
    identity = engine.inspect(small, "image")["Id"]
    short = identity[7:19]
    holder = engine.inspect(name)["Id"][:12]
    assert engine.refused("rmi", small) == (f'conflict: unable to remove repository reference "{small}" (must force) - '
                                            f"container {holder} is using its referenced image {short}")
    engine("rm", name)
    engine("tag", small, f"{PREFIX}/small:v9")
    assert engine.refused("rmi", short) == (f"conflict: unable to delete {short} (must be forced) - image is "
                                            "referenced in multiple repositories")
    assert engine("rmi", f"{PREFIX}/small:v9") == f"Untagged: {PREFIX}/small:v9"
    out = engine("rmi", small).splitlines()
    assert out[:2] == [f"Untagged: {small}", f"Deleted: {identity}"]
    assert len(out) == 3  # the layer goes, too
    assert engine.refused("rmi", small) == f"No such image: {small}"


def test_what_happens_to_an_image_is_told(engine: Engine) -> None:
    began, name = time.time() - 1, f"{PREFIX}/told:v1"
    engine("import", "-", name, stdin=small_tar(told=engine.name.encode(), whose=PREFIX.encode()))
    identity = engine.inspect(name, "image")["Id"]
    engine("tag", name, f"{PREFIX}/told:v2")
    saved(engine, name)
    engine("rmi", f"{PREFIX}/told:v2", name)

    def seen() -> list[dict[str, Any]]:
        told = engine.sdk.events(decode=True, filters={"type": "image"}, since=began, until=time.time())
        return [event for event in told if event["id"] == identity]

    eventually(lambda: any(event["Action"] == "delete" for event in seen()))
    engine.agree("events", [(event["Action"], event["Actor"]["Attributes"], sorted(event)) for event in seen()])
    assert [event["Action"] for event in seen()] == ["tag", "import", "tag", "save", "untag", "untag", "delete"]


def test_an_image_of_a_running_container_stays(engine: Engine) -> None:
    identity = engine("build", "-q", "-", stdin=f"FROM {BASE}\nLABEL {LABEL} runs=1\n")
    one = engine.run(image=identity)
    short = identity[7:19]
    assert engine.refused("rmi", "-f", short) == (
        f"conflict: unable to delete {short} (cannot be forced) - image is being used by running container "
        f"{one.id[:12]}")
    one.remove(force=True)
    engine("rmi", identity)


def test_an_image_that_others_stand_on_stays(engine: Engine, tmp_path: Path) -> None:
    name = f"{PREFIX}/parent"
    context(tmp_path, Dockerfile=f"FROM {BASE}\nLABEL {LABEL}\nRUN echo 1 > /1\n")
    engine("build", "-q", "-t", name, str(tmp_path))
    context(tmp_path, Dockerfile=f"FROM {name}\nRUN echo 2 > /2\n")
    engine("build", "-q", "-t", f"{PREFIX}/child", str(tmp_path))
    layers = engine.inspect(f"{PREFIX}/child", "image")["RootFS"]["Layers"]
    assert layers[:-1] == engine.inspect(name, "image")["RootFS"]["Layers"]
    assert engine("rmi", name) == f"Untagged: {name}:latest"  # its layers are still needed
    assert engine("run", "--rm", f"{PREFIX}/child", "cat", "/1", "/2") == "1\n2"
    engine("rmi", f"{PREFIX}/child")


def test_prune(engine: Engine, tmp_path: Path) -> None:
    label = f"prune={PREFIX}"
    out = []
    for text in ("1", "2"):
        context(tmp_path, Dockerfile=f"FROM scratch\nLABEL {label}\nCOPY f /\n", f=text)
        engine("build", "-q", "-t", f"{PREFIX}/pruned", str(tmp_path))
        out.append(engine.inspect(f"{PREFIX}/pruned", "image")["Id"])
    assert engine("images", "-q", "--no-trunc", "--filter", "dangling=true", "--filter", f"label={label}") == out[0]
    said = engine("image", "prune", "-f", "--filter", f"label={label}")
    assert f"deleted: {out[0]}" in said
    assert said.splitlines()[-1].startswith("Total reclaimed space: ")
    assert engine.docker("image", "inspect", out[0]).code == 1
    assert f"untagged: {PREFIX}/pruned:latest" in engine("image", "prune", "-af", "--filter", f"label={label}")
    with pytest.raises(docker.errors.ImageNotFound):
        engine.sdk.images.get(f"{PREFIX}/pruned")


def test_push_and_pull(engine: Engine, small: str, registry: Registry, tmp_path: Path) -> None:
    name = f"{registry.address}/{PREFIX}/{engine.name}:v1"
    engine("tag", small, name)
    out = engine("push", name).splitlines()
    assert out[0] == f"The push refers to repository [{name.rpartition(':')[0]}]"
    found = re.fullmatch(r"v1: digest: (sha256:[0-9a-f]{64}) size: (\d+)", out[-1])
    assert found
    assert re.fullmatch(r"[0-9a-f]{12}: Pushed", out[-2])
    assert re.fullmatch(r"[0-9a-f]{12}: Layer already exists", engine("push", name).splitlines()[-2])
    store = ImageStore(tmp_path / "store")
    image = pull(store, name)
    assert (image.id, image.digest) == (engine.inspect(small, "image")["Id"], found[1])
    engine("rmi", name, small)
    lines = engine("pull", name).splitlines()
    assert lines[0] == f"v1: Pulling from {PREFIX}/{engine.name}"
    assert f"Digest: {found[1]}" in lines
    assert f"Status: Downloaded newer image for {name}" in lines
    assert f"Status: Image is up to date for {name}" in engine("pull", name)
    assert engine.inspect(name, "image")["RepoDigests"] == [f"{name.rpartition(':')[0]}@{found[1]}"]
    by_digest = f"{name.rpartition(':')[0]}@{found[1]}"
    assert engine.inspect(by_digest, "image")["Id"] == image.id
    other = f"{registry.address}/{PREFIX}/{engine.name}:ours"
    push(store, image, other)
    assert f"Status: Downloaded newer image for {other}" in engine("pull", other)
    engine("rmi", other, name)


def test_what_cannot_be_pulled_or_pushed(engine: Engine, registry: Registry) -> None:
    name = f"{registry.address}/{PREFIX}/none"
    assert "manifest unknown" in engine.refused("pull", name) or "not known" in engine.refused("pull", name)
    assert "connection refused" in engine.refused("pull", "127.0.0.1:1/x")
    said = engine.refused("push", f"{registry.address}/{PREFIX}/never-tagged")
    assert "An image does not exist locally with the tag: " in said
    done = engine.docker("run", "--rm", name, "true")
    assert done.code == 125
    assert f"Unable to find image '{name}:latest' locally" in done.err
    assert engine.refused("create", "--pull", "never", name).startswith("No such image: ")
    with pytest.raises(docker.errors.NotFound):
        engine.sdk.images.pull(name, tag="latest")
