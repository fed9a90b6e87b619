"""Base images out of Debian packages: a package is taken apart, a system is put together, names find them."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from image_files import layer

from kitlib.images import base
from kitlib.images.base import deb, debian, image, packages
from kitlib.images.build.build import Builder, Event
from kitlib.images.errors import ImageError
from kitlib.images.layerwriter import of_text
from kitlib.images.store import ImageStore, StoredImage

CONTROL = b"Package: tool\nVersion: 1.2-3\nArchitecture: amd64\nMulti-Arch: same\nDescription: a tool\n of ours\n"


def ar(**members: bytes) -> bytes:
    out = b"!<arch>\n"
    for name, data in members.items():
        head = f"{name.replace('__', '.'):<16}{'0':<12}{'0':<6}{'0':<6}{'100644':<8}{len(data):<10}`\n"
        out += head.encode() + data + b"\n" * (len(data) % 2)
    return out


def package(place: Path, *files: tuple[str, object]) -> Path:
    control = layer(("./control", CONTROL), ("./conffiles", b"/etc/tool.conf\n"), ("./postinst", b"#!/bin/sh\n"))
    place.write_bytes(ar(debian_binary=b"2.0\n", control__tar__gz=gzip.compress(control),
                         data__tar__xz=lzma.compress(layer(*files))))  # type: ignore[arg-type]
    return place


def test_a_package_is_taken_apart(tmp_path: Path) -> None:
    path = package(tmp_path / "tool_1.2-3_amd64.deb", ("./", None), ("./bin", None), ("./bin/tool", b"program"),
                   ("./bin/alias", "= ./bin/tool"), ("./lib/x/lib.so", b"library"), ("./etc/tool.conf", b"a=1\n"),
                   ("./usr/share/doc/tool/README", b"words"), ("./usr/share/doc/tool/copyright", b"law"))
    found = deb.read(path, tmp_path)
    assert (found.name, found.value("Version"), found.stem) == ("tool", "1.2-3", "tool:amd64")
    assert [(entry.path, entry.link) for entry in found.entries] == [
        ("usr/bin/tool", ""), ("usr/bin/alias", "usr/bin/tool"), ("usr/lib/x/lib.so", ""), ("etc/tool.conf", ""),
        ("usr/share/doc/tool/copyright", "")]
    program = found.entries[0].content
    assert program is not None
    assert program().read() == b"program"
    assert set(found.info) == {"conffiles", "postinst", "list"}
    assert deb.paragraph(found).startswith("Package: tool\nStatus: install ok installed\nVersion: 1.2-3\n")
    digest = hashlib.md5(b"a=1\n", usedforsecurity=False).hexdigest()
    assert deb.paragraph(found).endswith(f"Conffiles:\n /etc/tool.conf {digest}\n")


@pytest.mark.parametrize("content", [b"no archive", b"!<arch>\nbroken", ar(debian_binary=b"2.0\n"),
                                     ar(control__tar__gz=b"\x1f\x8bno", data__tar__xz=b"no")])
def test_a_damaged_package_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad_1_amd64.deb"
    path.write_bytes(content)
    with pytest.raises(ImageError, match="bad_1_amd64"):
        deb.read(path, tmp_path)


def test_packages_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def apt(archives: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """As the real one: what is in its archives already, it does not name."""
        asked.append(arguments[0])
        missing = [name for name in ("a_1_all.deb", "b_2_all.deb") if not (archives / name).exists()]
        if arguments[0] == "--download-only":
            for name in missing:
                (archives / name).write_bytes(b"12")
        return subprocess.CompletedProcess([], 0, "".join(f"'http://mirror/{n}' {n} 2 MD5Sum:0\n" for n in missing), "")

    monkeypatch.setattr(packages, "_apt", apt)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    for _ in range(2):
        found = packages.fetched(["a"], tmp_path / "cache", lambda words: None)
        assert [path.name for path in found] == ["a_1_all.deb", "b_2_all.deb"]
    assert asked == ["--print-uris", "--download-only", "--print-uris"]


@pytest.fixture
def without_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> list[Path]:
        raise ImageError("there is no mirror")

    monkeypatch.setattr(packages, "fetched", refuse)


@pytest.mark.needs("root")  # some files of packages are root's alone to read
@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="it is made of Debian's packages")
def test_a_debian_out_of_what_is_installed_here(tmp_path: Path, without_mirror: None) -> None:
    store, told = ImageStore(tmp_path / "images" / "oci"), list[str]()
    made = base.debian_slim(store, told.append)
    assert told[0] == "there is no mirror; taking what is installed here instead"
    with tarfile.open(store.blob(made.layers[0].digest)) as tar:
        members = {member.name: member for member in tar}
        passwd = tar.extractfile("etc/passwd")
        assert passwd is not None
        assert "_apt:x:42:65534" in passwd.read().decode()
    assert {name: members[name].linkname for name in ("bin", "lib", "usr/bin/awk")} == {
        "bin": "usr/bin", "lib": "usr/lib", "usr/bin/awk": "/etc/alternatives/awk"}
    assert oct(members["tmp"].mode) == "0o1777"
    assert not [name for name in members if name.startswith("usr/share/man/")]
    assert {"apt", "bash", "dpkg", "libc6"} <= set(debian.dpkg_names(store, made))
    said: list[Event] = []
    text = ("RUN dpkg --audit && dpkg -s bash | grep Status && awk 1 /dev/null && perl -e 'print 42' && "
            "su nobody -s /bin/sh -c id")
    Builder(store).build(tmp_path, f"FROM {made.name}\n{text}\n", tell=said.append)
    output = "".join(event.text for event in said if event.kind == "output")
    assert "Status: install ok installed\n42" in output
    assert "uid=65534(nobody)" in output


def test_names_find_what_can_be_made_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, made = ImageStore(tmp_path / "images" / "oci"), list[str]()

    def recipe(what: str) -> base.Recipe:
        def make(store: ImageStore, tell: image.Tell = made.append) -> StoredImage:
            made.append(what)
            return image.write(store, [f"docker.io/library/{what}:canonical"], what, [of_text("a", b"a")], {})
        return make

    monkeypatch.setattr(base, "RECIPES", {name: recipe(name) for name in base.RECIPES})
    release = {"ID": "debian", "VERSION_CODENAME": "bookworm", "VERSION_ID": "12"}
    monkeypatch.setattr(base, "_os_release", lambda: release)
    monkeypatch.setattr(base, "_python_version", lambda: "3.11.2")
    monkeypatch.setenv("KIT_PULL", "never")
    for name in ("debian:12-slim", "python:3.11-slim", "python:3", "docker.io/library/debian"):
        found = base.provide(store, name)
        assert found is not None
        assert store.find(name) is not None
    assert made == ["debian-slim", "python", "python", "debian-slim"]
    with pytest.raises(ImageError, match="debian:trixie: failed to resolve source metadata: not found in the image "
                                         "store; can be made here: debian:bookworm-slim, debian:12-slim"):
        base.provide(store, "debian:trixie")
    with pytest.raises(ImageError, match="without a network, busybox, debian and python can be made here"):
        base.provide(store, "alpine:3")
    release |= {"ID": "ubuntu", "VERSION_CODENAME": "noble", "VERSION_ID": "24.04"}
    assert base.provide(store, "ubuntu:24.04") is not None
    with pytest.raises(ImageError, match=r"debian: failed to resolve .*; without a network, busybox, ubuntu and "):
        base.provide(store, "debian")
    assert base.provide(store, "No Name") is None
