"""Base images made on this machine, without a registry: `kit image base busybox`, and `FROM python:3.11` finds one.

    busybox        static_busybox.py   Debian's static build, an applet for every name
    debian-slim    debian.py           the essential packages and apt
    python         debian.py           Debian's python3 and pip, upon debian-slim

    deb.py, packages.py     where the packages come from: apt's caches, the mirror, or what is installed here
    image.py                files → an image

`provide` is what a build asks when its FROM is not in the store: a registry where there is a network, else one of
these, if its name and tag are of what this machine has.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Protocol

from kitlib.images.base import debian
from kitlib.images.base.image import Tell
from kitlib.images.base.static_busybox import busybox
from kitlib.images.base.static_busybox import version as busybox_version
from kitlib.images.errors import ImageError
from kitlib.images.reference import parse
from kitlib.images.store import ImageStore, StoredImage

__all__ = ["RECIPES", "busybox", "debian_slim", "make", "provide", "python"]
_HUB = "docker.io/library"


def _quiet(words: str) -> None:
    """Nobody wants to know."""


def debian_slim(store: ImageStore, tell: Tell = _quiet) -> StoredImage:
    """Raises ImageError where it cannot be made."""
    return debian.debian_slim(store, f"{_HUB}/{distribution()}:{debian_tags()[0]}", tell)


def python(store: ImageStore, tell: Tell = _quiet) -> StoredImage:
    """Raises ImageError where it cannot be made."""
    below = store.find(f"{_HUB}/{distribution()}:{debian_tags()[0]}") or debian_slim(store, tell)
    return debian.python(store, f"{_HUB}/python:{python_tags()[0]}", below, tell)


def _busybox(store: ImageStore, tell: Tell = _quiet) -> StoredImage:
    return busybox(store)


class Recipe(Protocol):
    def __call__(self, store: ImageStore, tell: Tell = _quiet) -> StoredImage: ...


RECIPES: dict[str, Recipe] = {
    "busybox": _busybox, "debian-slim": debian_slim, "python": python}
"""What can be made, by the words of `kit image base`."""


def make(store: ImageStore, what: str, tell: Tell = _quiet) -> StoredImage:
    """Raises ImageError; KeyError for what is no recipe."""
    return RECIPES[what](store, tell)


# Which tags of Docker Hub an image made here can stand for: those that say nothing that it is not.


def _prefixes(version: str) -> Iterator[str]:
    """3.11.2 → 3.11.2, 3.11, 3"""
    parts = version.split(".") if version else []
    for i in range(len(parts), 0, -1):
        yield ".".join(parts[:i])


def busybox_tags() -> list[str]:
    return ["latest", "stable", "glibc", *_prefixes(busybox_version())]


def distribution() -> str:
    """Whose packages there are here: an image of Ubuntu's is not called debian."""
    return "ubuntu" if _os_release().get("ID") == "ubuntu" else "debian"


def debian_tags() -> list[str]:
    """The first is the one that names it best."""
    release = _os_release()
    name, version = release.get("VERSION_CODENAME", ""), release.get("VERSION_ID", "")
    if release.get("ID") != "debian":
        return [each for each in (name, version, "latest") if each]
    return [each for each in (f"{name}-slim" if name else "", f"{version}-slim" if version else "", name, version,
                              "stable-slim", "stable", "latest") if each]


def python_tags() -> list[str]:
    found = list(_prefixes(_python_version()))
    name = _os_release().get("VERSION_CODENAME", "")
    slim = [f"{each}{end}" for each in found for end in ("-slim", f"-slim-{name}", "", f"-{name}")]
    return [*(slim[:1] or ["slim"]), "slim", "latest", *slim[1:]]


def _os_release() -> dict[str, str]:
    try:
        with open("/usr/lib/os-release") as file:
            return {key: value.strip('"') for key, _, value in (line.strip().partition("=") for line in file)}
    except OSError:
        return {}


def _python_version() -> str:
    """Of the distribution's python3, installed or not."""
    for command in (["dpkg-query", "-W", "-f", "${Version}", "python3"], ["apt-cache", "show", "python3"]):
        try:
            said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        except OSError:
            continue
        version = next((line.partition(": ")[2] or line for line in said.splitlines()
                        if line.startswith("Version: ") or len(command) == 5), "")
        if version:
            return version.partition("-")[0]
    return ""


def _recipe(name: str) -> tuple[str, list[str]]:
    """Which recipe a repository's images could be made by, and the tags that it can stand for."""
    tags = {"busybox": ("busybox", busybox_tags), distribution(): ("debian-slim", debian_tags),
            "python": ("python", python_tags)}
    recipe, known = tags.get(name.removeprefix(f"{_HUB}/"), ("", list[str]))
    return recipe, known()


def stand_in(store: ImageStore, name: str, tell: Tell = _quiet) -> StoredImage | None:
    """An image of this name that is made here; None if none that can be would be what the name says.

    Raises ImageError if it is one of them and cannot be made after all.
    """
    wanted = parse(name)
    recipe, known = _recipe(wanted.repository) if wanted is not None and not wanted.digest else ("", [])
    if wanted is None or wanted.tag not in known:
        return None
    made = make(store, recipe, tell)
    if made.name != str(wanted):
        store.tag(str(wanted), made.manifest)
    return store.find(name)


def provide(store: ImageStore, name: str, tell: Tell = _quiet) -> StoredImage | None:
    """An image that is not in the store, for FROM: made here, else pulled.  None if there can be none of that name.

    KIT_PULL=never asks no registry.  Raises ImageError with what can be had, where the registry cannot be reached.
    """
    wanted = parse(name)
    if wanted is None:
        return None
    made = stand_in(store, name, tell)
    return made if made is not None else _pull(store, name, wanted.repository, tell)


def _pull(store: ImageStore, name: str, repository: str, tell: Tell) -> StoredImage:
    from kitlib.images.registry.client import pull

    recipe, known = _recipe(repository)
    short = repository.removeprefix(f"{_HUB}/")
    can = f"can be made here: {', '.join(f'{short}:{tag}' for tag in known[:4])}" if recipe else \
        f"without a network, busybox, {distribution()} and python can be made here (`kit image base`)"
    if os.environ.get("KIT_PULL") == "never":
        raise ImageError(f"{name}: failed to resolve source metadata: not found in the image store; {can}")
    tell(f"pulling {name}")
    try:
        return pull(store, name, lambda blob, what: tell(f"{what} {blob.digest[7:19]}") if what != "there" else None)
    except ImageError as error:
        raise ImageError(f"{name}: failed to resolve source metadata: not found in the image store, and {error}; {can}"
                         ) from error
