"""Which unpacked layers programs stand on right now: what overlayfs has mounted must not be taken away under it.

Every process has its own table of mounts, and those of a container are nobody else's; so all tables that this user may
read are looked through for the names of layers.

Source: proc(5), /proc/PID/mountinfo.
"""

from __future__ import annotations

import re
from pathlib import Path

_DIGEST = re.compile(rb"-([0-9a-f]{64})")


def layers_in_use() -> set[str]:
    """The diff ids of layers that are mounted somewhere."""
    found: set[str] = set()
    seen: set[bytes] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            table = (process / "mountinfo").read_bytes()
        except OSError:  # it has ended, or is somebody else's
            continue
        if table not in seen:
            seen.add(table)
            found.update(f"sha256:{match.decode()}" for line in table.splitlines() if b" - overlay " in line
                         for match in _DIGEST.findall(line))
    return found
