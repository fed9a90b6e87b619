"""What the process runtime needs to know about an image, and where it asks.

An image here is not an archive of files but a description: which program of this machine it stands for, and the few
files of its own.  The catalogue (kitlib.images.catalog) is one source of them; the images a learner builds can be
another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from kitlib.runtime.cri import Image


@dataclass(frozen=True)
class ImageConfig:
    """An image's configuration (OCI image-spec, config.md) and its contents.

    `binds` are (container path, host path), read-only.  `files` and `links` are made in each container; `@ROOT@` in a
    file stands for where the container's root is.  `host_programs`: the host's /usr, /bin and /lib belong to the
    image.  `layers`: directories of this machine that are stacked, the lowest first; such an image has nothing else.
    """

    name: str  # docker.io/library/nginx:1.27
    digest: str  # sha256:…
    size: int
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    working_dir: str = "/"
    stop_signal: str = "SIGTERM"
    user: int | None = None
    group: int | None = None
    host_programs: bool = False
    binds: tuple[tuple[str, str], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    directories: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()

    @property
    def repository_digest(self) -> str:
        """docker.io/library/nginx@sha256:… as a Pod's status.imageID shows it."""
        return f"{self.name.rpartition(':')[0]}@{self.digest}"


# What a runtime can do with an image's layers.
OVERLAY = "overlay"  # stack them with overlayfs, as root
USER_OVERLAY = "user overlay"  # the same in a user namespace
COPY = "copy"  # give each container a copy of them all
NOT_AT_ALL = ""


class ImageSource(Protocol):
    """Raises RuntimeError_ with the reason InvalidImageName or ErrImagePull.

    stacking: set by the runtime; whoever has images with layers prepares them for that.
    """

    stacking: str

    def loaded(self, name: str) -> Image | None:
        """An image of this (full) name that was put onto every node by hand: it need not be pulled."""
        ...

    def all_loaded(self) -> list[Image]: ...

    def normalize(self, reference: str) -> str:
        """The full name: nginx → docker.io/library/nginx:latest."""
        ...

    async def fetch(self, name: str) -> None:
        """Bring what `pull` needs onto this machine; it may take its time."""
        ...

    def pull(self, name: str, directory: str) -> ImageConfig:
        """Make the image ready under `directory`, if it is not yet."""
        ...
