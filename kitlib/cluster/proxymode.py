"""Which of kube-proxy's modes a cluster gets: `kit up --proxy-mode`."""

from __future__ import annotations

from kitlib.cluster.errors import UsageError
from kitlib.network.kernel import modes
from kitlib.network.kernel.proxy import APPLIED


def choose(asked: str, runtime: str) -> str:
    """The proxy's mode of a cluster.  asked: "" for the best one.  Raises UsageError in one sentence."""
    if runtime != "oci":
        if asked in ("", "userspace"):
            return "userspace"
        raise UsageError(f"nodes of the {runtime} runtime share this machine's network, where --proxy-mode {asked} has "
                         f"no place for its rules; `kit up --runtime oci` has, and `kit walk --mode {asked}` shows "
                         "them for any cluster.")
    if not asked:
        return modes.best()
    why = modes.why_not(asked)
    if why or asked not in APPLIED:
        raise UsageError(f"--proxy-mode {asked} does not work here: {why}.")
    return asked
