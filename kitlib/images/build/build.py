"""A build: the steps of a plan, run as soon as what they stand on is there, or taken from the cache.

    Builder(store).build(context, text)      plan.py ──▶ making.py (run, or cached) ──▶ committing.py ──▶ an image

Steps that do not wait for each other run at the same time.  What happens is told in events, one form for terminal,
notebook and API; door.py is for callers on an event loop.

Source: moby/buildkit, docs/dev/solver.md.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from kitlib.images.build import committing, mounts
from kitlib.images.build.cache import BuildCache
from kitlib.images.build.dockerfile import parse
from kitlib.images.build.ignore import Context
from kitlib.images.build.making import Making
from kitlib.images.build.plan import Plan, plan
from kitlib.images.build.results import BuildError, Built, Cancel, Cancelled, Event, Layers, Outcome, Settings
from kitlib.images.errors import ImageError
from kitlib.images.store import ImageStore, StoredImage

__all__ = ["BuildError", "Builder", "Built", "Cancel", "Cancelled", "Event", "Layers", "Outcome", "Settings", "clear"]

DEFAULTS = Settings()


class Builder:
    """Builds images into a store.  pull: gets a base image that is not in the store, or None."""

    def __init__(self, store: ImageStore, *, pull: Callable[[str], StoredImage | None] = lambda name: None) -> None:
        self.store, self._pull = store, pull
        self.cache = BuildCache(store.root.parent / "build")
        self.mounts = mounts.CacheMounts(store.root.parent / "build" / "mounts")
        self._images: dict[str, StoredImage] = {}

    def image(self, name: str) -> StoredImage:
        """A base image, the same one as long as this builder lives.  Raises ImageError if there is none of that name.
        """
        if name not in self._images:
            found = self.store.find(name) or self._pull(name)
            if found is None:
                raise ImageError(f"{name}: failed to resolve source metadata: not found in the image store "
                                 "(`kit image list` shows what there is)")
            self._images[name] = found
        return self._images[name]

    def plan(self, text: str, settings: Settings = DEFAULTS) -> Plan:
        """What would be built.  Raises DockerfileError, and ImageError for a base image that cannot be had."""
        return plan(parse(text, settings.file), lambda name: self.image(name).config, args=settings.args,
                    target=settings.target, file=settings.file, classic=settings.classic,
                    labels=settings.labels if settings.classic else {}, platform=settings.platform)

    def build(self, context: Path, text: str, settings: Settings = DEFAULTS,
              tell: Callable[[Event], None] = lambda event: None, names: Sequence[str] = (),
              cancel: Cancel | None = None) -> Built:
        """Raises DockerfileError, BuildError or ImageError; Cancelled soon after `cancel` is set.

        tell: is called by the steps' threads.  names: full ones, docker.io/library/app:v1.
        """
        began = time.monotonic()
        made = self.plan(text, settings)
        work = Making(self, made, Context(context, settings.file), settings, tell, cancel or Cancel())
        outcomes = work.run()
        image = committing.commit(self.store, made, made.target, outcomes, settings.labels, classic=settings.classic)
        for name in names or ("",):
            self.store.tag(name, image.manifest)
        named = StoredImage(names[0] if names else "", image.manifest, image.config_descriptor, image.config,
                            image.layers)
        return Built(named, made, outcomes, time.monotonic() - began)


def clear(builder: Builder) -> int:
    """Forget all that builds have left behind but images; how many results that were."""
    shutil.rmtree(builder.store.root.parent / "build" / "mounts", ignore_errors=True)
    return builder.cache.clear()
