"""Whole directories: copied with their hard links (busybox is one file with hundreds of names), and removed.

As under overlayfs a file and its copy share nothing.  Among themselves the copied names go on being one file, which
overlayfs would end when one of them is written to.
"""

from __future__ import annotations

import contextlib
import os
import shutil


def copy_tree(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copy what is in `source` into `target`, which may be there; symbolic links are copied as links."""
    there: dict[tuple[int, int], str] = {}

    def copy(one: str, other: str) -> str:
        found = os.lstat(one)
        if found.st_nlink > 1:
            first = there.setdefault((found.st_dev, found.st_ino), other)
            if first != other:
                os.link(first, other, follow_symlinks=False)
                return other
        return shutil.copy2(one, other, follow_symlinks=False)

    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, copy_function=copy)


def remove_tree(place: str | os.PathLike[str]) -> None:
    """With all that is in it, also what may not be entered: overlayfs and programs leave such directories."""
    for parent, directories, _ in os.walk(place):  # from the top: a directory is opened up before it is listed
        for name in directories:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                with contextlib.suppress(OSError):
                    os.chmod(path, 0o700)
    shutil.rmtree(place, ignore_errors=True)
