"""A program that is run and measured: how long it took, and the most memory it had at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from kitlib.cluster.errors import KitError

# A process counts, as its own, the memory of the one that it came from by vfork: so a small one starts it.
_STARTER = """
import json, os, resource, sys, time
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[
    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_DUP2, 1, 2)])
_, status, usage = os.wait4(pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), time.perf_counter() - began, usage.ru_maxrss * 1024 / 1e6]))
"""


class Run(NamedTuple):
    seconds: float
    megabytes: float


def run(command: Sequence[str]) -> Run:
    """command: an absolute path and arguments.  Raises KitError if it fails."""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", _STARTER, *command], stdout=subprocess.PIPE, text=True,
                          check=True)
    code, seconds, megabytes = json.loads(done.stdout)
    if code:
        raise KitError(f"{' '.join(command)} ended with {code}.")
    return Run(seconds, megabytes)
