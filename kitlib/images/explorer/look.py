"""Whatever somebody calls an image, taken apart: a name, a file, a directory, an object of the docker SDK.

A name is looked for in this order: a file or directory, our own store, the Docker Engine.  With a prefix there is no
doubt: docker://NAME, kit://NAME (the store), and as skopeo has them docker-archive:FILE[:NAME], oci:DIRECTORY[:NAME],
oci-archive:FILE[:NAME].
"""

from __future__ import annotations

from collections.abc import Mapping
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
    attributes = getattr(what, "attrs", None)
    if isinstance(attributes, Mapping) and hasattr(what, "client"):
        return _connect(client or what.client).report((attributes.get("RepoTags") or [attributes["Id"]])[0],
                                                            verify=verify)
    text = str(what)
    if text.startswith("docker://"):
        return _connect(client).report(text.removeprefix("docker://"), verify=verify)
    if text.startswith("kit://"):
        found = _stored(default_store(), text.removeprefix("kit://"), verify)
        if found is None:
            raise ImageError(f"there is no image {text.removeprefix('kit://')} in the store: `kit image list` shows "
                             "what there is")
        return found
    for prefix in _FILES:
        if text.startswith(prefix):
            return _file(*_split(text.removeprefix(prefix).removeprefix("//")), verify)
    if client is not None:
        return _connect(client).report(text, verify=verify)
    path, name = _split(text)
    if path.exists():
        return _file(path, name, verify)
    found = _stored(default_store(), text, verify)
    return found if found is not None else _engine(text, verify)


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


def _file(path: Path, name: str, verify: bool) -> Report:
    with places.images(path) as there:
        chosen = places.pick(there, name, path)
        if verify:
            places.verify(chosen)
        try:
            report = analyse_placed(chosen, name or chosen.name or path.name)
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from error
        share(report, ((other.name or other.id, other.diff_ids) for other in there if other is not chosen))
        return report


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


def _engine(name: str, verify: bool) -> Report:
    """The last place to look."""
    try:
        there = _connect(None)
    except ImageError as error:
        raise ImageError(f"there is no image {name} in the store, and no file of that name: `kit image list` shows "
                         f"what there is ({error})") from error
    if not there.has(name):
        raise ImageError(f"there is no image {name} in the store, and no file of that name, and the Docker Engine has "
                         "none, either: `kit image list` and `docker image ls` show what there is")
    return there.report(name, verify=verify)
