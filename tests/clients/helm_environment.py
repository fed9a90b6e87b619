"""Where Helm lives: helm-sdkpy brings a shared library of 120 MB and asks for Python 3.12, so it gets its own.

The environment is made with the newest Python of this machine.  If that is 3.11 (Debian 12), pip is told to
overlook the wish: the package is a cffi wrapper that runs there as well; on 3.10 it does not.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENT, OLDEST = "helm-sdkpy==0.1.32", (3, 11)


def version_of(python: str) -> tuple[int, ...]:
    """Of an interpreter; () if it does not run (a shim of pyenv for a version that is not chosen)."""
    done = subprocess.run([python, "-c", "import sys, venv; print(*sys.version_info[:2])"], capture_output=True,
                          text=True, check=False)
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else ()


def newest_python() -> str:
    candidates = [sys.executable, *filter(None, (shutil.which(f"python3.{minor}") for minor in range(11, 16))),
                  *map(str, Path.home().glob(".pyenv/versions/3.1[1-9].*/bin/python"))]
    return max(candidates, key=version_of)


def can_be_had() -> bool:
    return sys.version_info >= OLDEST or version_of(newest_python()) >= OLDEST


def make(base: Path) -> str:
    """The environment's Python; the environment is kept below `base` for the next time."""
    python = newest_python()
    home = base / "-".join(("helm", *map(str, version_of(python))))
    made, ready = home / "bin" / "python", home / REQUIREMENT
    if not ready.exists():
        subprocess.run([python, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run([str(made), "-m", "pip", "install", "--quiet", "--ignore-requires-python", REQUIREMENT],
                       check=True)
        ready.touch()
    return str(made)
