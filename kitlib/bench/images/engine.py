"""The embedded Docker Engine: how long until it answers, and `docker run` of busybox beside the real engine's.

Both engines are asked by the same command line, in turn, with the same image: from process start to its exit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from kitlib.bench.figures import Figure, median, side_by_side
from kitlib.cluster.dockerengine import REAL_SOCKET, EmbeddedEngine, ask
from kitlib.cluster.errors import KitError
from kitlib.images import archive, base
from kitlib.images.errors import ImageError
from kitlib.images.store import ImageStore

START_SECONDS, TIMES_RUN = 0.5, 1.0
NAME = "kit-bench/busybox:1"


def measure(times: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="kit-bench-") as place:
        engine = EmbeddedEngine(Path(place))
        try:
            starts = []
            for _ in range(max(times, 1)):
                engine.stop()
                starts.append(engine.start()[1])
            figures = [median("engine start", starts, "s", START_SECONDS, note="from spawning it to the first answer")]
            found = engine.endpoint()
            assert found is not None
            return figures + _runs(found.host, Path(place), times)
        finally:
            engine.stop()


def _runs(host: str, place: Path, times: int) -> list[Figure]:
    """Nothing where there is no docker command or no real engine to compare with."""
    real = ask(REAL_SOCKET)
    if shutil.which("docker") is None or real is None or real.kind != "real":
        return []
    try:
        image = base.busybox(ImageStore(place / "store"), f"docker.io/{NAME}")
    except ImageError as error:
        raise KitError(f"{error}.") from error
    with open(place / "busybox.tar", "wb") as file:
        archive.save(ImageStore(place / "store"), [image], file)
    ours, theirs = [], []
    try:
        for each in (host, REAL_SOCKET):
            _docker(each, "load", "-i", str(place / "busybox.tar"))
            _docker(each, "run", "--rm", NAME, "true")
        for _ in range(max(times, 3)):
            ours.append(_docker(host, "run", "--rm", NAME, "true"))
            theirs.append(_docker(REAL_SOCKET, "run", "--rm", NAME, "true"))
    finally:
        _docker(REAL_SOCKET, "rmi", "-f", NAME)
    return side_by_side("docker run of busybox", ours, theirs, "s", other="the real engine", at_least=TIMES_RUN)


def _docker(host: str, *arguments: str) -> float:
    """Seconds.  Raises KitError with docker's words."""
    began = time.perf_counter()
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False,
                          env={**os.environ, "DOCKER_HOST": host}, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise KitError(f"docker {arguments[0]}: {done.stderr.strip()}.")
    return time.perf_counter() - began
