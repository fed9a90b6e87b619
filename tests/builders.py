"""One Dockerfile, several builders: `kit build`, and Docker's two (classic and BuildKit), seen in the same form.

    Seen.tree      path → kind, mode, owner and content (or a link's target) of every file, as root sees them
    Seen.config    the image's configuration, what is empty left out
    Seen.history   (made by, has a layer) of each line

The base image is made here once and is the same for all.  Images are named kit-build-…, and removed at the end.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from kitlib.bench.images import building
from kitlib.images import base
from kitlib.images.archive import load, save
from kitlib.images.build.build import Builder, Settings
from kitlib.images.store import ImageStore, StoredImage

BASE = "kit-build-base:1"
# Files that an engine mounts into every container: some leave an empty one behind where the image had none.
_MOUNTED = ("dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab")


@dataclass
class Seen:
    tree: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[tuple[str, bool]] = field(default_factory=list)


def seen(store: ImageStore, image: StoredImage) -> Seen:
    root = store.flat(image)
    found: dict[str, str] = {}
    for parent, directories, names in os.walk(root):
        for name in (*directories, *names):
            place = Path(parent, name)
            path = str(place.relative_to(root))
            if path not in _MOUNTED and not path.startswith(("dev/", "proc/", "sys/")):
                found[path] = _describe(place)
    config = {key: value for key, value in (image.config.get("config") or {}).items()
              if value and key not in ("Image", "Hostname", "ArgsEscaped")}
    history = [(line.get("created_by", ""), not line.get("empty_layer")) for line in image.config["history"]]
    return Seen(found, config, history)


def _describe(place: Path) -> str:
    found = os.lstat(place)
    words = f"{stat.filemode(found.st_mode)} {found.st_uid}:{found.st_gid}"
    if stat.S_ISLNK(found.st_mode):
        return f"{words} -> {os.readlink(place)}"
    if stat.S_ISREG(found.st_mode):
        content = place.read_bytes()
        shown = content.decode(errors="replace") if len(content) < 200 else hashlib.sha256(content).hexdigest()[:12]
        return f"{words} {shown!r}"
    return words


class Builders:
    """A directory with a store, and the engine's programs that work here."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.store = ImageStore(place / "images" / "oci")
        base.busybox(self.store, f"docker.io/library/{BASE}")
        self._names: list[str] = []
        with tempfile.NamedTemporaryFile(dir=place) as file:
            image = self.store.find(BASE)
            assert image is not None
            save(self.store, [image], file)  # type: ignore[arg-type]
            file.flush()
            subprocess.run(["docker", "load", "-q", "-i", file.name], check=True, capture_output=True, timeout=60)
        self._names.append(BASE)

    def kit(self, context: Path, text: str, name: str = "", **settings: Any) -> Seen:
        image = Builder(self.store).build(context, text, Settings(**settings),
                                          names=[f"docker.io/library/{name}"] if name else ()).image
        return seen(self.store, image)

    def docker(self, kind: str, context: Path, file: Path, options: Sequence[str] = (), name: str = "") -> Seen:
        """kind: classic or buildkit."""
        name = name or f"kit-build-{len(self._names)}:1"
        done = build(kind, context, ["-f", str(file), "-t", name, *options])
        assert done.returncode == 0, f"{kind}: {done.stdout[-3000:]}"
        self._names.append(name)
        with (tempfile.NamedTemporaryFile(dir=self.place) as archive,
              tempfile.TemporaryDirectory(dir=self.place) as root):
            subprocess.run(["docker", "save", "-o", archive.name, name], check=True, timeout=60)
            theirs = ImageStore(Path(root))
            [image] = load(theirs, Path(archive.name))
            return seen(theirs, image)

    def close(self) -> None:
        subprocess.run(["docker", "rmi", "-f", *self._names], capture_output=True, timeout=60, check=False)


def build(kind: str, context: Path, options: Sequence[str], timeout: float = 60
          ) -> subprocess.CompletedProcess[str]:
    """docker build, its output in one."""
    program = buildkit_client() if kind == "buildkit" else "docker"
    env = {**os.environ, "DOCKER_BUILDKIT": "1" if kind == "buildkit" else "0", "BUILDKIT_PROGRESS": "plain"}
    return subprocess.run([program, "build", *options, str(context)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False, env=env)


@functools.cache
def buildkit_client() -> str:
    """A docker command that speaks BuildKit's protocol here ("" if none does): newer ones need a plugin for it."""
    program, kind = building.docker()
    return program if kind == "BuildKit" else ""


def differences(ours: Seen, theirs: Seen, what: Sequence[str] = ("tree", "config", "history")) -> list[str]:
    """One line for each thing that is not the same, ours first."""
    found = []
    for part in what:
        a, b = getattr(ours, part), getattr(theirs, part)
        if isinstance(a, Mapping):
            found += [f"{part}: {key}: {a.get(key)!r} != {b.get(key)!r}"
                      for key in sorted({*a, *b}) if a.get(key) != b.get(key)]
        else:
            found += [f"{part} {i}: {one} != {other}" for i, (one, other) in enumerate(zip_longest(a, b))
                      if one != other]
    return found
