"""What a daemon of the `oci` runtime that was killed leaves behind: processes, cgroups, files.

Its mounts, links and rules are in namespaces, and those go with the last process in them.  A container's processes are
found by their cgroup, which they cannot leave.
"""

from __future__ import annotations

import hashlib

from kitlib.runtime.oci import cgroups
from kitlib.runtime.process.paths import remove_tree


def group_of(state: str) -> str:
    """The cluster's cgroup, from the directory of its runtime: all that its daemon ever starts is in it."""
    return f"/{cgroups.TOP}/{hashlib.sha256(state.encode()).hexdigest()[:12]}"


def clear_leftovers(state: str) -> None:
    """End it all.  state: the daemon's directory, without symbolic links."""
    group = group_of(state)
    cgroups.kill(group)
    cgroups.remove(group)
    for name in ("containers", "sandboxes", "runc", "cni"):
        remove_tree(f"{state}/{name}")
