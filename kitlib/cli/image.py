"""`kit image …`: the images that clusters on this machine run, beside those they always have.

    kit image load app.tar            what `docker save`, skopeo or buildah wrote; an OCI layout directory; - for stdin
    kit image list
    kit image save kit/app:v1 -o app.tar
    kit image tag kit/app:v1 kit/app:v2
    kit image rm kit/app:v1
    kit image inspect kit/app:v1
    kit image base busybox            a small base image, made on this machine
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kitlib.cli.common import Commands, command, print_json, print_table
from kitlib.cli.progress import Status
from kitlib.cluster.errors import KitError, UsageError
from kitlib.images.reference import familiar

if TYPE_CHECKING:
    from kitlib.images.store import ImageStore, StoredImage

_SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def register(commands: Commands) -> None:
    parser = command(commands, "image", run_image, cluster=False, description=__doc__)
    parser.add_argument("verb", choices=("load", "list", "save", "tag", "rm", "inspect", "base"))
    parser.add_argument("words", nargs="*", metavar="IMAGE|FILE")
    parser.add_argument("-o", "--output", metavar="FILE", help="save: where to (else stdout)")
    parser.add_argument("-t", "--tag", metavar="NAME", help="load: name the image so, instead of what the file says")


def run_image(arguments: argparse.Namespace) -> int | None:
    from kitlib.images.errors import ImageError
    from kitlib.images.store import default_store

    count = {"load": 1, "list": 0, "save": None, "tag": 2, "rm": None, "inspect": 1, "base": 1}[arguments.verb]
    given = len(arguments.words)
    if given != count and (count is not None or not given):
        wanted = {"load": "one file or directory", "list": "nothing more", "tag": "an image and its new name"}
        raise UsageError(f"`kit image {arguments.verb}` takes {wanted.get(arguments.verb, 'the name of an image')}.")
    try:
        return {"load": _load, "list": _list, "save": _save, "tag": _tag, "rm": _remove,
                "inspect": _inspect, "base": _base}[arguments.verb](default_store(), arguments)
    except ImageError as error:
        raise KitError(f"{error}.") from error


def _find(store: ImageStore, name: str) -> StoredImage:
    found = store.find(name)
    if found is None:
        raise KitError(f"there is no image {name} in the store: `kit image list` shows what there is.")
    return found


def _load(store: ImageStore, arguments: argparse.Namespace) -> None:
    from kitlib.images.archive import load

    name = arguments.tag or ""
    if arguments.words == ["-"]:
        with tempfile.NamedTemporaryFile() as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
            file.flush()
            loaded = load(store, Path(file.name), name)
    else:
        loaded = load(store, Path(arguments.words[0]), name)
    if arguments.json:
        print_json([_summary(image) for image in loaded])
        return
    for image in loaded:
        print(f"Loaded image: {familiar(image.name)}" if image.name else f"Loaded image ID: {image.id}")


def _list(store: ImageStore, arguments: argparse.Namespace) -> None:
    images = sorted(store.images(), key=lambda image: image.name)
    images = [image for image in images if image.name or not _on_the_way(image, images)]
    if arguments.json:
        print_json([_summary(image) for image in images])
        return
    rows = []
    for image in images:
        repository, _, tag = familiar(image.name).rpartition(":") if image.name else ("<none>", "", "<none>")
        rows.append((repository, tag, image.id.removeprefix("sha256:")[:12], len(image.layers), _size(image.size)))
    print_table(("REPOSITORY", "TAG", "IMAGE ID", "LAYERS", "SIZE"), rows)


def _on_the_way(image: StoredImage, images: list[StoredImage]) -> bool:
    """Whether it is a step of another image, kept by `docker build`: `docker images` does not show those either."""
    history = image.config.get("history") or []
    return any(len(other.config.get("history") or ()) > len(history) > 0
               and (other.config.get("history") or [])[:len(history)] == history
               and other.diff_ids[:len(image.diff_ids)] == image.diff_ids for other in images)


def _summary(image: StoredImage) -> dict[str, object]:
    return {"name": image.name, "id": image.id, "digest": image.digest, "layers": [d.digest for d in image.layers],
            "size": image.size}


def _save(store: ImageStore, arguments: argparse.Namespace) -> None:
    from kitlib.images.archive import save

    images = [_find(store, word) for word in arguments.words]
    if arguments.output:
        with open(arguments.output, "wb") as file:
            save(store, images, file)
    elif sys.stdout.isatty():
        raise UsageError("an archive on a terminal is no use to anybody: give -o FILE, or redirect the output.")
    else:
        save(store, images, sys.stdout.buffer)


def _tag(store: ImageStore, arguments: argparse.Namespace) -> None:
    from kitlib.images.reference import parse

    source, target = arguments.words
    wanted = parse(target)
    if wanted is None or wanted.digest:
        raise UsageError(f"{target!r} is no name for an image: try something like kit/app:v1.")
    store.tag(str(wanted), _find(store, source).manifest)


def _remove(store: ImageStore, arguments: argparse.Namespace) -> None:
    for word in arguments.words:
        image = _find(store, word)
        store.forget(image)
        print(f"Untagged: {familiar(image.name)}" if image.name else f"Deleted: {image.id}")
    store.collect()


def _inspect(store: ImageStore, arguments: argparse.Namespace) -> None:
    image = _find(store, arguments.words[0])
    print(json.dumps({**_summary(image), "config": image.config}, indent=2))


def _base(store: ImageStore, arguments: argparse.Namespace) -> None:
    from kitlib.images import base

    wanted = arguments.words[0]
    if wanted not in base.RECIPES:
        raise UsageError(f"there is no base image {wanted!r}: {', '.join(base.RECIPES)} can be made here.")
    with Status() as status:
        image = base.make(store, wanted, status.tell)
    if arguments.json:
        print_json(_summary(image))
        return
    print(f"{familiar(image.name)}  {image.id}  {_size(image.size)}")


def _size(count: int) -> str:
    return next((f"{count / unit:.3g}{name}" for unit, name in _SIZES if count >= unit), f"{count}B")
