"""Whatever somebody calls an image, taken apart: a name, a file, a directory, an object of the docker SDK.

A name is looked for in this order: a file or directory, our own store, the Docker Engine.  With a prefix there is no
doubt: docker://NAME, kit://NAME (the store), and as skopeo has them docker-archive:FILE[:NAME], oci:DIRECTORY[:NAME],
oci-archive:FILE[:NAME].
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.images.errors import ImageError
from kitlib.images.explorer import places
from kitlib.images.explorer.analyse import analyse_placed
from kitlib.images.explorer.report import Report, share
from kitlib.images.store import ImageStore, default_store

if TYPE_CHECKING:
    from kitlib.images.explorer.engine import Engine, ReadWriteLayer

_FILES = ("docker-archive:", "oci-archive:", "oci:")


def image(what: Any, *, client: Any = None, verify: bool = False) -> Report:
    """what: a name, a path, or a docker.models.images.Image.  client: ask this engine before all others.

    verify: read every byte and check it against its digest.  Raises ImageError in one sentence.
    """
    with opened(what, client=client, verify=verify) as report:
        return report


@contextlib.contextmanager
def opened(what: Any, *, client: Any = None, verify: bool = False) -> Iterator[Report]:
    """The same, with its layers in place (for whoever wants to read in them) as long as the context lasts."""
    attributes = getattr(what, "attrs", None)
    text = str(what)
    if isinstance(attributes, Mapping) and hasattr(what, "client"):
        names = attributes.get("RepoTags") or [attributes["Id"]]
        with _connect(client or what.client).opened(names[0], verify=verify) as report:
            yield report
    elif text.startswith("docker://") or client is not None:
        with _connect(client).opened(text.removeprefix("docker://"), verify=verify) as report:
            yield report
    elif text.startswith("kit://"):
        name = text.removeprefix("kit://")
        found = _stored(default_store(), name, verify)
        if found is None:
            raise ImageError(f"there is no image {name} in the store: `kit image list` shows what there is")
        yield found
    else:
        prefix = next((each for each in _FILES if text.startswith(each)), "")
        path, name = _split(text.removeprefix(prefix).removeprefix("//") if prefix else text)
        if prefix or path.exists():
            with _file(path, name, verify) as report:
                yield report
        elif (found := _stored(default_store(), text, verify)) is not None:
            yield found
        else:
            with _engine(text).opened(text, verify=verify) as report:
                yield report


def container(what: Any, *, client: Any = None, verify: bool = False) -> tuple[Report, ReadWriteLayer]:
    """what: a container's name, its id, or a docker.models.containers.Container."""
    if isinstance(getattr(what, "attrs", None), Mapping) and hasattr(what, "client"):
        return _connect(client or what.client).container(what.id, verify=verify)
    return _connect(client).container(str(what), verify=verify)


def _connect(client: Any) -> Engine:
    from kitlib.images.explorer import engine  # most have none, and the SDK takes its time

    return engine.connect(client)


def _split(text: str) -> tuple[Path, str]:
    """FILE[:NAME]."""
    path = Path(text).expanduser()
    if ":" in text and not path.exists():
        file, _, name = text.partition(":")
        return Path(file).expanduser(), name
    return path, ""


@contextlib.contextmanager
def _file(path: Path, name: str, verify: bool) -> Iterator[Report]:
    with places.images(path) as there:
        chosen = places.pick(there, name, path)
        try:
            if verify:
                places.verify(chosen)
            report = analyse_placed(chosen, name or chosen.name or path.name)
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from error
        share(report, ((other.name or other.id, other.diff_ids) for other in there if other is not chosen))
        yield report


def _stored(store: ImageStore, name: str, verify: bool) -> Report | None:
    found = store.find(name)
    if found is None:
        return None
    placed = places.stored(store, found)
    if verify:
        places.verify(placed)
    report = analyse_placed(placed)
    share(report, ((other.name, other.diff_ids) for other in store.images() if other.name and other.id != found.id))
    return report


def _engine(name: str) -> Engine:
    """The last place to look; raises ImageError if it is not there, either."""
    try:
        there = _connect(None)
    except ImageError as error:
        raise ImageError(f"there is no image {name} in the store, and no file of that name: `kit image list` shows "
                         f"what there is ({error})") from error
    if not there.has(name):
        raise ImageError(f"there is no image {name} in the store, and no file of that name, and the Docker Engine has "
                         "none, either: `kit image list` and `docker image ls` show what there is")
    return there
