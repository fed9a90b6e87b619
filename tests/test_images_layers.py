"""Layers put on directories: what is added, what is gone, and what never gets out."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from image_files import Entry, layer, tree

from kitlib.images.errors import ImageError
from kitlib.images.layer import Whiteouts, apply


def stack(target: Path, *layers: bytes) -> dict[str, str]:
    for one in layers:
        apply(io.BytesIO(one), target)
    return tree(target)


def test_files_directories_links_and_modes(tmp_path: Path) -> None:
    found = stack(tmp_path, layer(("./etc/", None), ("etc/motd", b"hi"), ("bin", "-> usr/bin"), ("usr/bin/sh", b"#!"),
                                  ("same", "= etc/motd")))
    assert found == {"etc": "/", "etc/motd": "hi", "bin": "-> usr/bin", "usr": "/", "usr/bin": "/", "usr/bin/sh": "#!",
                     "same": "hi"}
    assert (tmp_path / "same").stat().st_ino == (tmp_path / "etc/motd").stat().st_ino
    assert stat.S_IMODE((tmp_path / "etc/motd").stat().st_mode) == 0o644


@pytest.mark.parametrize("pack", [bytes, zstandard.compress, __import__("gzip").compress])
def test_plain_gzip_and_zstd_are_told_apart_by_their_bytes(tmp_path: Path, pack: object) -> None:
    assert stack(tmp_path, pack(layer(("a", b"1")))) == {"a": "1"}  # type: ignore[operator]


def test_a_whiteout_removes_what_lies_below_but_not_what_comes_with_it(tmp_path: Path) -> None:
    below = layer(("etc/motd", b"old"), ("etc/keep", b"k"), ("cache/a", b"1"), ("cache/deep/b", b"2"))
    above = layer(("etc/.wh.motd", b""), ("cache/new", b"3"), ("cache/.wh..wh..opq", b""), ("cache/deep/c", b"4"))
    assert stack(tmp_path, below, above) == {"etc": "/", "etc/keep": "k", "cache": "/", "cache/new": "3",
                                            "cache/deep": "/", "cache/deep/c": "4"}


def test_a_file_may_take_the_place_of_a_directory_and_the_other_way_round(tmp_path: Path) -> None:
    assert stack(tmp_path, layer(("a/b", b"1"), ("c", b"2")), layer(("a", b"now a file"), ("c/d", None))) == {
        "a": "now a file", "c": "/", "c/d": "/"}


def test_writing_through_a_link_of_a_lower_layer_stays_in_the_image(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (tmp_path / "outside").mkdir()
    found = stack(root, layer(("out", f"-> {tmp_path}/outside"), ("up", "-> ../../outside")),
                  layer(("out/x", b"1"), ("up/y", b"2")))
    assert list((tmp_path / "outside").iterdir()) == []
    assert found[f"{str(tmp_path)[1:]}/outside/x"] == "1"
    assert found["outside/y"] == "2"


@pytest.mark.parametrize("entry", [("../x", b""), ("a/../../x", b""), ("h", "= ../../etc/passwd"),
                                   ("h", "= no/such/file"), (".wh..", b""), ("x" * 300, b"")])
def test_what_would_leave_the_image_is_refused(tmp_path: Path, entry: Entry) -> None:
    with pytest.raises(ImageError, match="entry"):
        stack(tmp_path / "root", layer(entry))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["root"]


def test_absolute_names_are_names_in_the_image(tmp_path: Path) -> None:
    assert stack(tmp_path, layer(("/etc/motd", b"hi"))) == {"etc": "/", "etc/motd": "hi"}


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="circle of links"):
        stack(tmp_path, layer(("a", "-> b"), ("b", "-> a"), ("a/x", b"")))


@pytest.mark.parametrize("data", [b"", b"no tar at all, but long enough to be read as one" * 20,
                                  layer(("a", b"x" * 5000))[:3000], b"\x1f\x8b garbage", b"\x28\xb5\x2f\xfd junk"])
def test_damaged_layers_are_a_sentence(tmp_path: Path, data: bytes) -> None:
    if data:
        with pytest.raises(ImageError, match="the layer"):
            stack(tmp_path, data)


@pytest.mark.needs("root")
def test_overlay_marks_are_those_of_the_kernel(tmp_path: Path) -> None:
    apply(io.BytesIO(layer(("etc/.wh.motd", b""), ("cache/.wh..wh..opq", b""))), tmp_path, Whiteouts.OVERLAY)
    gone = os.lstat(tmp_path / "etc/motd")
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    assert os.getxattr(tmp_path / "cache", "trusted.overlay.opaque") == b"y"


_NAMES = st.lists(st.sampled_from(["a", "b", "..", ".", "", "/", ".wh.a", ".wh..wh..opq", "link", "é", "a\nb"]),
                  min_size=1, max_size=5).map("/".join)
_CONTENTS = st.one_of(st.binary(max_size=20), st.none(), _NAMES.map("-> ".__add__), _NAMES.map("= ".__add__))


@given(st.lists(st.lists(st.tuples(_NAMES, _CONTENTS), max_size=6), max_size=3))
def test_no_layer_whatever_is_in_it_writes_outside(tmp_path_factory: pytest.TempPathFactory,
                                                   layers: list[list[Entry]]) -> None:
    place = tmp_path_factory.mktemp("fuzz")
    (place / "sentinel").write_text("untouched")
    for entries in layers:
        try:
            apply(io.BytesIO(layer(*entries)), place / "in" / "root")
        except ImageError:
            continue
    assert sorted(p.name for p in place.iterdir()) in (["in", "sentinel"], ["sentinel"])
    assert (place / "sentinel").read_text() == "untouched"
    assert [p.name for p in (place / "in").iterdir()] == ["root"] if (place / "in").exists() else True


def test_a_layer_with_too_much_in_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitlib.images.layer.MOST_BYTES", 1000)
    with pytest.raises(ImageError, match="more than"):
        stack(tmp_path, layer(("a", b"x" * 600), ("b", b"x" * 600)))
    assert tarfile.is_tarfile(io.BytesIO(layer(("a", b""))))
