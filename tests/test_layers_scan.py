"""The explorer's own reading of tar: the standard library sees the same; what is damaged or hostile is refused."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from image_files import config, docker_archive, layer, oci_layout

from kitlib.images.errors import ImageError
from kitlib.images.explorer import contents, look, scan
from kitlib.images.explorer.scan import File
from kitlib.images.explorer.source import Place, opened

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def scanned(path: Path, offset: int = 0, size: int = -1) -> list[File]:
    with opened(Place(path, offset, path.stat().st_size - offset if size < 0 else size)) as source:
        return scan.entries(source)


def stdlib(path: Path) -> list[File]:
    with tarfile.open(path) as tar:
        return [File(m.name.strip("/"), "directory" if m.isdir() else "link" if m.issym() else
                     "hard link" if m.islnk() else "file" if m.isfile() else "other", m.size if m.isfile() else 0,
                     m.mode, m.uid, m.gid, int(m.mtime), m.linkname, m.offset_data) for m in tar]


@pytest.mark.parametrize("style", FORMATS)
def test_every_format_is_read_as_the_standard_library_reads_it(style: str, tmp_path: Path) -> None:
    chance, path = random.Random(7), tmp_path / "a.tar"
    kinds = (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
    with tarfile.open(path, "w", format=FORMATS[style]) as tar:
        for number in range(300):
            deep = "/".join("d" * chance.randrange(1, 40) for _ in range(chance.randrange(4)))
            info = tarfile.TarInfo(f"{deep}/{number}-ü".lstrip("/"))
            info.type, info.mode = chance.choice(kinds), chance.randrange(0o10000)
            info.uid = chance.randrange(2**21 if style == "ustar" else 2**40)
            info.gid, info.mtime = chance.randrange(9), chance.choice((0, 1_700_000_000, 1_700_000_000.25))
            if info.type == tarfile.REGTYPE:
                info.size = chance.choice((0, 1, 511, 512, 513, 20_000))
            if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = "x" * chance.randrange(1, 99 if style == "ustar" else 200)
            if style == "ustar":
                info.mtime = int(info.mtime)
            tar.addfile(info, io.BytesIO(bytes(info.size)))
    assert scanned(path) == stdlib(path)
    for name, pack in (("gz", gzip.compress), ("zst", zstandard.compress)):
        packed = tmp_path / name
        packed.write_bytes(pack(path.read_bytes()))
        assert scanned(packed) == stdlib(path)
    inside = tmp_path / "inside"
    inside.write_bytes(b"\xff" * 700 + path.read_bytes() + b"\xff" * 3000)
    assert scanned(inside, 700, path.stat().st_size) == stdlib(path)


@pytest.mark.parametrize("style", ["gnu", "posix"])
def test_sparse_files_have_their_real_size(style: str, tmp_path: Path) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        for place in range(0, 60_000_000, 1_000_000):  # more holes than fit into one header
            file.seek(place)
            file.write(b"x" * 4096)
    (tmp_path / "after").write_text("after")
    subprocess.run(["tar", "-S", f"--format={style}", "-cf", "a.tar", "sparse", "after"], cwd=tmp_path, check=True)
    found = scanned(tmp_path / "a.tar")
    assert [(file.path, file.size) for file in found] == [("sparse", 59_004_096), ("after", 5)]
    place = Place(tmp_path / "a.tar", 0, (tmp_path / "a.tar").stat().st_size)
    assert contents.read(place, found[1]) == b"after"
    with pytest.raises(ImageError, match="sparse"):
        contents.read(place, found[0])


def test_gzip_is_read_the_same_without_isal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = layer(("a", random.Random(2).randbytes(3_000_000)), ("b", b"2" * 2_500_000))
    path = tmp_path / "layer"
    path.write_bytes(gzip.compress(data[:2_000_000]) + gzip.compress(data[2_000_000:]))
    place, found = Place(path, 0, path.stat().st_size), []
    for missing in (False, True):
        if missing:
            monkeypatch.setitem(sys.modules, "isal", None)
        found.append((scanned(path), contents.digests(place, scanned(path))))
    assert found[0] == found[1]


def test_contents_are_found_again_packed_and_plain(tmp_path: Path) -> None:
    data = layer(("a", b"1" * 3000), ("b", b"2" * 2_500_000), ("c", b"3"))
    for pack in (bytes, gzip.compress, lambda whole: gzip.compress(whole[:5000]) + gzip.compress(whole[5000:]),
                 zstandard.compress):
        path = tmp_path / "layer"
        path.write_bytes(pack(data))
        place = Place(path, 0, path.stat().st_size)
        files = scanned(path)
        assert [contents.read(place, file)[:2] for file in files] == [b"11", b"22", b"3"]
        assert len(set(contents.digests(place, reversed(files)).values())) == 3


GOOD = layer(("a/", None), ("a/b", b"x" * 1000), ("c", b"y" * 10))
NOISE = layer(("a", random.Random(1).randbytes(5000)))


def changed(at: int, data: bytes, whole: bytes = GOOD) -> bytes:
    """With the checksum of the first header made good again."""
    made = bytearray(whole)
    made[at:at + len(data)] = data
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made[:512])
    return bytes(made)


@pytest.mark.parametrize(("data", "says"), [
    (GOOD[:2565], "layer 1: it ends in the middle of 'c'"),
    (GOOD[:700], "layer 1: it ends in the middle of a header, at byte 512"),
    (b"no tar" * 100, "layer 1: it is damaged: a number in the header at byte 0 is none"),
    (GOOD.replace(b"a/", b"b/"), "layer 1: it is damaged: no header of a tar at byte 0"),
    (changed(124, b"\xff" * 12, layer(("a", b""))), "layer 1: it is damaged: 'a' has a size below zero"),
    (changed(124, b"12x45678901\0", layer(("a", b""))), "layer 1: it is damaged: a number in the header at byte 0"),
    (changed(124, b"\x80" + b"\x7f" * 11, layer(("a", b"1"))), "layer 1: it has more than 2000000 entries or 64 GiB"),
    (layer(("../../etc/passwd", b"x")), "layer 1: entry '../../etc/passwd' leads out of the image"),
    (layer(("a/" + "n" * 300, b"x")), "has a name that no file system takes"),
    (changed(156, b"x", layer(("a", b"no pax at all"))), "no pax header before byte"),
    (changed(124, b"77777777777\0", changed(156, b"x")), "bytes of extra header at byte 512"),
    (gzip.compress(NOISE)[:3000], "layer 1: it cannot be read: the compressed data ends too early"),
    (b"\x1f\x8b\x07" + gzip.compress(NOISE)[3:], "layer 1: it is damaged: Error -"),
    (zstandard.compress(NOISE)[:3000], "layer 1: it ends in the middle of")])
def test_a_bad_layer_is_refused_in_one_sentence(data: bytes, says: str, tmp_path: Path) -> None:
    path = docker_archive(tmp_path / "a.tar", [data], "kit/app:1")
    with pytest.raises(ImageError) as error:
        look.image(path)
    assert says in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


BAD_ARCHIVES: dict[str, tuple[dict[str, bytes], str]] = {
    "nothing in it": ({"x": b""}, "neither index.json"),
    "no list": ({"manifest.json": b"{}"}, "manifest.json lists no images"),
    "no JSON": ({"manifest.json": b"[" * 100_000}, "manifest.json is no JSON"),
    "no config": ({"manifest.json": b'[{"Layers": []}]'}, "image 1 of manifest.json names no Config"),
    "config is missing": ({"manifest.json": b'[{"Config": "c"}]'}, "c is missing"),
    "config is a list": ({"manifest.json": b'[{"Config": "c"}]', "c": b"[]"}, "is no JSON object"),
    "config of another image": ({"manifest.json": b'[{"Config": "c", "Layers": []}]', "c": config([GOOD])},
                                "has 0 layers, but its config knows 1"),
    "layer is missing": ({"manifest.json": b'[{"Config": "c", "Layers": ["../../etc/passwd"]}]', "c": config([GOOD])},
                         "layer 1, ../../etc/passwd, is missing"),
    "history is no list": ({"manifest.json": b'[{"Config": "c", "Layers": []}]',
                            "c": b'{"rootfs": {"diff_ids": []}, "history": 3}'}, "is no image's"),
    "empty index": ({"index.json": b'{"manifests": []}'}, "index.json lists no manifests"),
    "index without digest": ({"index.json": b'{"manifests": [{}]}'}, "entry 0 of index.json has no digest")}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_a_bad_archive_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    files, says = BAD_ARCHIVES[name]
    path = tmp_path / "a.tar"
    path.write_bytes(layer(*files.items()))
    with pytest.raises(ImageError, match="(?s).*" + says.replace(".", r"\.")):
        look.image(path)


def test_links_of_an_archive_stay_in_it_and_end(tmp_path: Path) -> None:
    files: list[tuple[str, Any]] = [("c", config([GOOD])), ("one/layer.tar", "-> ../two/layer.tar"),
                                    ("two/layer.tar", "-> ../one/layer.tar"),
                                    ("manifest.json", b'[{"Config": "c", "Layers": ["one/layer.tar"]}]')]
    path = tmp_path / "a.tar"
    path.write_bytes(layer(*files))
    with pytest.raises(ImageError, match=r"layer 1, one/layer\.tar, is missing"):
        look.image(path)
    files[2] = ("two/layer.tar", GOOD)
    path.write_bytes(layer(*files))
    assert [c.path for c in look.image(path).layers[0].changes] == ["a", "a/b", "c"]


def test_nothing_outside_of_a_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / "layer").write_bytes(GOOD)
    root = tmp_path / "image"
    root.mkdir()
    (root / "c").write_bytes(config([GOOD]))
    (root / "link").symlink_to("../layer")
    os.mkfifo(root / "pipe")
    for name in ("../layer", str(tmp_path / "layer"), "link", "pipe"):
        (root / "manifest.json").write_text(json.dumps([{"Config": "c", "Layers": [name]}]))
        with pytest.raises(ImageError, match=f"layer 1, {name}, is missing"):
            look.image(root)
    with pytest.raises(ImageError, match="is no file that could be read"):
        look.image(root / "pipe")


def test_digests_are_checked_when_somebody_asks(tmp_path: Path) -> None:
    other = layer(("a/", None), ("a/b", b"z" * 1000), ("c", b"y" * 10))
    path = docker_archive(tmp_path / "a.tar", [GOOD], "kit/app:1")
    look.image(path, verify=True)
    path.write_bytes(path.read_bytes().replace(GOOD, other))
    look.image(path)
    with pytest.raises(ImageError, match=r"layer 1 is sha256:.*, and not sha256:"):
        look.image(path, verify=True)
    root = oci_layout(tmp_path / "layout", [GOOD], "kit/app:1")
    assert look.image(root, verify=True).size == 1010
    blob = next(each for each in (root / "blobs/sha256").iterdir() if each.read_bytes()[:2] == b"\x1f\x8b")
    blob.write_bytes(gzip.compress(other))
    with pytest.raises(ImageError, match="layer 1 is sha256:"):
        look.image(root, verify=True)
    manifest = next(each for each in (root / "blobs/sha256").iterdir() if b'"layers"' in each.read_bytes()[:400])
    manifest.write_bytes(manifest.read_bytes() + b" ")
    with pytest.raises(ImageError, match="is damaged: its digest is"):
        look.image(root)


def test_whatever_bytes_are_flipped_it_ends_with_a_sentence_or_a_report(tmp_path: Path) -> None:
    chance = random.Random(5)
    layers = [GOOD, layer(("a/.wh.b", b""), ("d" * 200, b"1"))]
    good = docker_archive(tmp_path / "a.tar", layers, "kit/app:1").read_bytes()
    path, refused = tmp_path / "b.tar", 0
    for whole in (good, gzip.compress(good)):
        for _ in range(150):
            made = bytearray(whole)
            for _ in range(chance.randrange(1, 4)):
                made[chance.randrange(len(made))] = chance.randrange(256)
            path.write_bytes(made[:chance.choice((len(made), len(made), chance.randrange(len(made))))])
            try:
                json.dumps(look.image(path).json())
            except ImageError:
                refused += 1
    assert 50 < refused < 300
