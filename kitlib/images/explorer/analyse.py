"""From where an image lies to its report: every layer scanned, then put on top of each other."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

from kitlib.images import compression
from kitlib.images.descriptor import Descriptor
from kitlib.images.errors import ImageError
from kitlib.images.explorer import scan, secrets
from kitlib.images.explorer.places import PlacedImage, stored
from kitlib.images.explorer.report import Report, Scanned, report
from kitlib.images.explorer.source import Place, kind_of, opened
from kitlib.images.reference import familiar
from kitlib.images.store import ImageStore, StoredImage


def analyse_placed(image: PlacedImage, name: str = "") -> Report:
    """name: instead of the image's own.  Raises ImageError if a layer is damaged."""
    numbers = range(1, len(image.layers) + 1)
    with _no_garbage():
        if len(image.layers) > 1 and any(_is_packed(place) for _, place in image.layers):
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(2) as threads:  # unpacking is C that lets other threads run
                scanned = list(threads.map(_scan, numbers, image.layers))
        else:
            scanned = list(map(_scan, numbers, image.layers))
        return report(familiar(name or image.name), image.id, image.config, scanned)


@contextlib.contextmanager
def _no_garbage() -> Iterator[None]:
    """A hundred thousand tuples come and stay: looking each time whether they are garbage takes a fifth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def analyse(store: ImageStore, image: StoredImage) -> Report:
    """Raises ImageError if a layer is damaged."""
    return analyse_placed(stored(store, image))


def _scan(number: int, layer: tuple[Descriptor, Place]) -> Scanned:
    looker = secrets.Looker(number)
    try:
        with opened(layer[1]) as source:
            files = scan.entries(source, looker)
    except ImageError as error:
        raise ImageError(f"layer {number}: {error}") from error
    return Scanned(layer[0].digest, layer[1], files, looker.found)


def _is_packed(place: Place) -> bool:
    with open(place.path, "rb") as file:
        return kind_of(file, place) != compression.PLAIN
