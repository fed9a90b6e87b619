"""Who owns the files of an image where they lie on this machine without root: then all of them are ours.

    unpacked/user-<digest>/   the files, each owned by whoever unpacked them, and readable
    owners/user-<digest>.json path → [uid, gid, mode] of those that are not root's, or whose mode had to be another

So a layer that is made out of such files says of them what the image says.

Source: what fakeroot(1) remembers.
"""

from __future__ import annotations

import functools
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

Owners = dict[str, tuple[int, int, int]]


def kept_mode(mode: int, *, directory: bool) -> int:
    """What an ordinary user gives a file instead: it has to be read and filled, and set-user-id would mean us."""
    return mode & 0o1777 | (0o700 if directory else 0o400)


def place_of(tree: Path) -> Path:
    return tree.parent.parent / "owners" / f"{tree.name}.json"


def write(tree: Path, owners: Owners) -> None:
    """Before the tree is at its place, so that no tree is ever without."""
    place = place_of(tree)
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    temporary.write_text(json.dumps(owners))
    os.replace(temporary, place)


@functools.lru_cache(maxsize=256)
def of_tree(tree: Path) -> Mapping[str, tuple[int, int, int]]:
    """Nothing for a tree that root has unpacked."""
    if os.geteuid() == 0:
        return {}
    try:
        found = json.loads(place_of(tree).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {path: (uid, gid, mode) for path, (uid, gid, mode) in found.items()}


def forget(owners: Owners, path: str) -> None:
    """Something has been removed, with all below it."""
    for known in [each for each in owners if each == path or each.startswith(f"{path}/")]:
        del owners[known]


def link(owners: Owners, source: str, path: str) -> None:
    """Two names of one file."""
    owners.pop(path, None)
    if source in owners:
        owners[path] = owners[source]


def remember(owners: Owners, path: str, uid: int, gid: int, mode: int, *, kind: int) -> None:
    """kind: as in st_mode.  Only what cannot be seen of the file itself."""
    directory = stat.S_ISDIR(kind)
    if (uid, gid) != (0, 0) or (not stat.S_ISLNK(kind) and mode != kept_mode(mode, directory=directory)):
        owners[path] = (uid, gid, mode)
    else:
        owners.pop(path, None)
