"""Who a name means in an image: its own /etc/passwd and /etc/group decide, for USER as for --chown.

    app          the user's number, and its primary group      app:team    this group instead
    1000         a number needs no entry; its group is that of the entry, else 0
    :team        root, with this group

Source: moby/buildkit, solver/llbsolver/file/user_linux.go; github.com/moby/sys/user (GetExecUser).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from kitlib.images.errors import ImageError
from kitlib.images.layer import PREFIX
from kitlib.images.layerwriter import Entry
from kitlib.images.merged import Merged
from kitlib.images.owners import kept_mode


@dataclass(frozen=True)
class Person:
    """groups: beside the primary one."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"


def owner(wanted: str, tree: Merged) -> tuple[int, int]:
    """uid and gid.  Raises ImageError if there is nobody of that name."""
    found = person(wanted, tree)
    return found.uid, found.gid


def person(wanted: str, tree: Merged) -> Person:
    """All that a program learns of its user.  Raises ImageError if there is nobody of that name."""
    user, there, group = (wanted or "0").partition(":")
    uid, gid, name, home = _user(user or "0", tree)
    if there and group:
        return Person(uid, _group(group, tree), home=home)
    others = (fields for fields in _lines(tree, "etc/group") if len(fields) > 3 and name and name in
              fields[3].split(","))
    return Person(uid, gid, tuple(int(fields[2]) for fields in others if fields[2].isdigit()), home)


def _lines(tree: Merged, file: str) -> list[list[str]]:
    place = tree.find(tree.resolve(file))
    text = place.read_text(errors="replace") if place is not None and place.is_file() else ""
    return [line.split(":") for line in text.splitlines()]


def _user(wanted: str, tree: Merged) -> tuple[int, int, str, str]:
    """Number, primary group, name and home."""
    for fields in _lines(tree, "etc/passwd"):
        if len(fields) > 3 and wanted in (fields[0], fields[2]) and (fields[2] + fields[3]).isdigit():
            return int(fields[2]), int(fields[3]), fields[0], fields[5] if len(fields) > 5 and fields[5] else "/"
    if wanted.isdigit():
        return int(wanted), 0, "", "/root" if wanted == "0" else "/"
    raise ImageError(f"unable to find user {wanted}: no matching entries in the image's /etc/passwd")


def _group(wanted: str, tree: Merged) -> int:
    for fields in _lines(tree, "etc/group"):
        if len(fields) > 2 and wanted in (fields[0], fields[2]) and fields[2].isdigit():
            return int(fields[2])
    if wanted.isdigit():
        return int(wanted)
    raise ImageError(f"unable to find group {wanted}: no matching entries in the image's /etc/group")


def owned(entries: Iterable[Entry], below: Merged, user: tuple[int, int], chowned: Mapping[str, tuple[int, int]]
          ) -> list[Entry]:
    """What a program has changed, owned as if root had run it: where that was not so, all of it is ours.

    A file that was there keeps its owner (and its mode, if that is only what unpacking made of it), a new one is the
    user's; chowned: path → what the program said of it (-1: as it is).
    """
    found = []
    for entry in entries:
        if entry.path.rpartition("/")[2].startswith(PREFIX):
            found.append(entry)
            continue
        place, known = below.find(entry.path), None
        if place is not None and (entry.kind == tarfile.DIRTYPE) == below.is_directory(entry.path):
            uid, gid, known_mode = known = below.owner(entry.path, place) or (0, 0, -1)
            if entry.kind != tarfile.SYMTYPE and entry.mode == kept_mode(
                    known_mode, directory=entry.kind == tarfile.DIRTYPE) and known_mode >= 0:
                entry = replace(entry, mode=known_mode)  # noqa: PLW2901 (the same one, as it should be)
        uid, gid = known[:2] if known is not None else user
        to = chowned.get(entry.path, (-1, -1))
        found.append(replace(entry, uid=to[0] if to[0] >= 0 else uid, gid=to[1] if to[1] >= 0 else gid))
    return found
