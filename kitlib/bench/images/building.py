"""A multi-stage build of twenty steps: `kit build` beside `docker build`, cold and out of the cache.

    deps (COPY, RUN) ─▶ build (COPY, RUN …) ─┐
    assets (COPY, RUN …) ────────────────────┼─▶ final (COPY --from …, RUN, ENV, CMD)
    docs (RUN …) ────────────────────────────┘

Both are command lines, from process start to the image's id; both have the same base image, unpacked beforehand.
docker is asked for BuildKit where its command speaks it, else for the classic builder.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kitlib.bench.figures import Figure, side_by_side
from kitlib.cluster.errors import KitError
from kitlib.images import base
from kitlib.images.archive import save
from kitlib.images.errors import ImageError
from kitlib.images.store import ImageStore

TIMES_COLD, TIMES_CACHED = 1.0, 3.0
BASE, NAME = (f"kit-bench-{os.getpid()}-{what}:1" for what in ("base", "build"))  # somebody else may measure, too
SECONDS = 300.0
DOCKERFILE = f"""FROM {BASE} AS deps
WORKDIR /deps
COPY deps.txt .
RUN for i in $(seq 200); do echo $i > lib$i.so; done
FROM deps AS build
COPY src /src
RUN cat /src/* > /deps/app && chmod 755 /deps/app
RUN wc -c /deps/app > /deps/size
FROM {BASE} AS assets
COPY assets /assets
RUN for f in /assets/*; do gzip -c $f > $f.gz; done
RUN md5sum /assets/* > /assets/sums
FROM {BASE} AS docs
RUN mkdir /docs && seq 1000 > /docs/index.html
RUN sed s/1/one/ /docs/index.html > /docs/one.html
RUN wc -l /docs/* > /docs/lines
FROM {BASE}
WORKDIR /app
COPY --from=build /deps/app /deps/size ./
COPY --from=build /deps lib/
COPY --from=assets /assets static/
COPY --from=docs /docs docs/
ENV MODE=production PORT=8080
RUN test -x app && ls -R . > contents
CMD ["./app"]
"""


def measure(times: int) -> list[Figure]:
    program, kind = docker()
    with tempfile.TemporaryDirectory(prefix="kit-bench-") as place, _images(Path(place)) as (home, made):
        context = make(Path(place) / "context")
        theirs = [program, "build", "-t", NAME, "--quiet", str(context)]
        ours = [sys.executable, "-m", "kitlib.cli.main", "build", "-t", NAME, "--quiet", str(context)]
        samples: dict[tuple[str, bool], list[float]] = {}
        for cached in (False, True):
            for _ in range(max(times, 1) * (3 if cached else 1) + 1):
                for who, command in (("docker", theirs), ("kit", ours)):
                    took, image = timed(command if cached else [*command, "--no-cache"], home, kind)
                    samples.setdefault((who, cached), []).append(took)
                    if who == "docker":
                        made.add(image)
    figures: list[Figure] = []
    for cached, at_least in ((False, TIMES_COLD), (True, TIMES_CACHED)):
        mine, real = (samples[who, cached][1:] for who in ("kit", "docker"))  # the first is everybody's warming up
        figures += side_by_side(f"20-step build, {'all cached' if cached else 'cold'}", mine, real, "s",
                                other="docker build", at_least=at_least, note=f"docker's {kind}")
    return figures


@functools.cache
def docker() -> tuple[str, str]:
    """A docker command, and the better builder that it can ask for.  Raises KitError if no engine answers."""
    found = shutil.which("docker")
    if found is None or subprocess.run([found, "info"], capture_output=True, check=False, timeout=60).returncode:
        raise KitError("no Docker Engine answers here")
    with tempfile.TemporaryDirectory() as empty:
        Path(empty, "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
        probe = f"kit-bench-{os.getpid()}-probe:1"
        for directory in os.get_exec_path():  # newer commands need a plugin for BuildKit; one behind them may not
            program = shutil.which("docker", path=directory)
            if program and subprocess.run([program, "build", "-q", "-t", probe, empty], capture_output=True,
                                          check=False, timeout=60,
                                          env={**os.environ, "DOCKER_BUILDKIT": "1"}).returncode == 0:
                subprocess.run([program, "rmi", probe], capture_output=True, check=False, timeout=60)
                return program, "BuildKit"
    return found, "classic builder"


def make(context: Path) -> Path:
    """The files that the steps copy."""
    for name, size in (("deps.txt", 200), *((f"src/part{i}.py", 20_000) for i in range(20)),
                       *((f"assets/picture{i}.svg", 50_000) for i in range(10))):
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n" * (size // (len(name) + 1)))
    (context / "Dockerfile").write_text(DOCKERFILE)
    return context


@contextmanager
def _images(place: Path) -> Iterator[tuple[Path, set[str]]]:
    """The base image in a store of its own and in the engine, and a set for what the engine builds: all of it is taken
    away again."""
    store = ImageStore(place / "images" / "oci")
    built: set[str] = set()
    try:
        made = base.busybox(store, f"docker.io/library/{BASE}")
    except ImageError as error:
        raise KitError(f"{error}") from error
    try:
        with tempfile.NamedTemporaryFile(dir=place) as file:
            save(store, [made], file)  # type: ignore[arg-type]
            file.flush()
            subprocess.run(["docker", "load", "-q", "-i", file.name], check=True, capture_output=True, timeout=SECONDS)
        yield place, built
    finally:
        subprocess.run(["docker", "rmi", "-f", NAME, *built, BASE], capture_output=True, check=False, timeout=SECONDS)


def timed(command: list[str], home: Path, kind: str) -> tuple[float, str]:
    """Seconds, and the image's id.  Raises KitError with the program's own words if it fails."""
    env = {**os.environ, "KIT_HOME": str(home), "DOCKER_BUILDKIT": "1" if kind == "BuildKit" else "0"}
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, check=False,
                          timeout=SECONDS)
    if done.returncode or not done.stdout.strip():
        raise KitError(f"{' '.join(command[:3])} failed: {done.stdout.strip()[-300:]}")
    return time.perf_counter() - began, done.stdout.split()[-1]
