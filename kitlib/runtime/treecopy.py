"""A copy of a directory in which hard links stay links: busybox is one file with 400 names, not 400 files.

As under overlayfs a file and its copy share nothing.  Among themselves the copied names go on being one file, which
overlayfs would end when one of them is written to.
"""

from __future__ import annotations

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
