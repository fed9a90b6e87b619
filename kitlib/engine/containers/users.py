"""As whom a container's program runs: names looked up in the container's own /etc/passwd and /etc/group.

Source: moby 20.10, daemon/oci_linux.go (getUser); opencontainers/runc, libcontainer/user.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kitlib.engine.errors import EngineError
from kitlib.images.merged import Merged


class User(NamedTuple):
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


def look_up(user: str, trees: Sequence[Path], more: Sequence[str] = ()) -> User:
    """user: "", 1000, www-data, 1000:1000, www-data:users; more: --group-add.  trees: the topmost first.

    Raises EngineError, for which a start ends with 126.
    """
    tree = Merged(tuple(trees))
    accounts, known = _table(tree, "etc/passwd", 4), _table(tree, "etc/group", 3)
    name, _, group = (user or "0").partition(":")
    found = next((row for row in accounts if row[0] == name), None) or next(
        (row for row in accounts if row[2] == name), None)
    if found is None and not name.isdigit():
        raise EngineError(400, f"unable to find user {name}: no matching entries in passwd file")
    uid = int(found[2]) if found else int(name)
    gid = int(found[3]) if found else 0
    listed = [int(row[2]) for row in known if found and len(row) > 3 and found[0] in row[3].split(",")]
    if group:
        row = next((row for row in known if row[0] == group), None)
        if row is None and not group.isdigit():
            raise EngineError(400, f"unable to find group {group}: no matching entries in group file")
        gid, listed = int(row[2]) if row else int(group), []
    for extra in more:
        row = next((row for row in known if row[0] == extra), None)
        if row is None and not extra.isdigit():
            raise EngineError(400, f"Unable to find group {extra}: no matching entries in group file")
        listed.append(int(row[2]) if row else int(extra))
    home = found[5] if found and len(found) > 5 and found[5] else "/"
    return User(uid, gid, tuple(dict.fromkeys(listed)), home)


def _table(tree: Merged, path: str, least: int) -> list[list[str]]:
    try:
        place = tree.find(tree.resolve(path))
    except OSError:
        return []
    if place is None or not place.is_file():
        return []
    rows = [line.split(":") for line in place.read_text(errors="replace").splitlines()]
    return [row for row in rows if len(row) >= least and row[2].isdigit() and (least < 4 or row[3].isdigit())]
