"""A copy of an image's files takes the room that the image takes."""

from __future__ import annotations

import os

from kitlib.runtime.treecopy import copy_tree, remove_tree


def test_hard_links_stay_links_and_nothing_is_shared_with_the_source(tmp_path):
    source, target = tmp_path / "a", tmp_path / "b"
    (source / "bin").mkdir(parents=True)
    (source / "bin/busybox").write_bytes(b"program")
    os.chmod(source / "bin/busybox", 0o755)
    for name in ("ls", "sh"):
        os.link(source / "bin/busybox", source / "bin" / name)
    (source / "link").symlink_to("bin/nothing")
    target.mkdir()
    copy_tree(source, target)
    found = (target / "bin/busybox").stat()
    assert (found.st_nlink, found.st_mode & 0o777, found.st_mtime) == (3, 0o755,
                                                                       (source / "bin/ls").stat().st_mtime)
    assert os.readlink(target / "link") == "bin/nothing"
    (target / "bin/sh").write_bytes(b"other")
    assert (source / "bin/sh").read_bytes() == b"program"


def test_what_nobody_may_enter_is_removed_all_the_same(tmp_path):
    place = tmp_path / "a"
    (place / "b/c").mkdir(parents=True)
    (place / "b/c/file").write_text("x")
    (place / "b/link").symlink_to(tmp_path)
    (place / "b/c").chmod(0)
    (place / "b").chmod(0)
    remove_tree(place)
    assert not place.exists()
    assert tmp_path.exists()
