"""Files of a configMap or secret volume, changed all at once.

A program must never see half of an update.  So the files live in a directory of their own, and one symlink decides
which generation counts; renaming a symlink is atomic.

    volume/
      ..2026_11_22_10_00_00.1/color     the files
      ..data -> ..2026_11_22_10_00_00.1
      color -> ..data/color             what programs open

Source: pkg/volume/util/atomic_writer.go.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class File:
    content: bytes
    mode: int = 0o644


def shows(directory: Path, files: Mapping[str, File]) -> bool:
    """Whether the directory has exactly these files already (a kubelet that takes over changes nothing)."""
    data = directory / "..data"
    if not data.is_dir():
        return False
    found = {str(path.relative_to(data)): path for path in data.rglob("*") if not path.is_dir()}
    return found.keys() == files.keys() and all(
        found[name].stat().st_mode & 0o777 == file.mode and found[name].read_bytes() == file.content
        for name, file in files.items())


def write_files(directory: Path, files: Mapping[str, File]) -> None:
    """Make the directory show exactly these files (relative paths may have directories)."""
    directory.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=time.strftime("..%Y_%m_%d_%H_%M_%S.", time.gmtime()), dir=directory))
    fresh.chmod(0o755)
    for name, file in files.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode)
    data = directory / "..data"
    old = data.readlink() if data.is_symlink() else None
    staged = directory / "..data_tmp"
    staged.unlink(missing_ok=True)
    staged.symlink_to(fresh.name)
    os.replace(staged, data)
    _link_names(directory, {Path(name).parts[0] for name in files})
    if old is not None:
        shutil.rmtree(directory / old, ignore_errors=True)


def _link_names(directory: Path, wanted: set[str]) -> None:
    present = {entry.name for entry in directory.iterdir() if entry.is_symlink() and not entry.name.startswith("..")}
    for name in wanted - present:
        (directory / name).symlink_to(Path("..data") / name)
    for name in present - wanted:
        (directory / name).unlink()
