"""`kit registry`: images by the network, as Docker Hub has them, on this machine.

    kit registry serve --port 5000                 until Ctrl-C
    kit registry push 127.0.0.1:5000/app:v1        an image of the store that is called so
    kit registry pull 127.0.0.1:5000/app:v1        into the store; any other registry is pulled from over HTTPS

docker, skopeo and the nodes of a cluster speak to it, too.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from kitlib.cli.common import Commands, command, print_json
from kitlib.cluster.errors import CannotStart, KitError, UsageError

if TYPE_CHECKING:
    from kitlib.images.descriptor import Descriptor


def register(commands: Commands) -> None:
    parser = command(commands, "registry", run_registry, cluster=False, description=__doc__)
    parser.add_argument("verb", choices=("serve", "push", "pull"))
    parser.add_argument("image", nargs="?", help="push, pull: its name, with the registry's address")
    parser.add_argument("--port", type=int, default=5000, help="serve: 5000; 0 for any free one")


def run_registry(arguments: argparse.Namespace) -> int | None:
    from kitlib.images.errors import ImageError

    if arguments.verb == "serve":
        _serve(arguments.port)
        return None
    if not arguments.image:
        raise UsageError(f"`kit registry {arguments.verb}` takes the name of an image, such as 127.0.0.1:5000/app:v1.")
    try:
        (_push if arguments.verb == "push" else _pull)(arguments)
    except ImageError as error:
        raise KitError(f"{error}.") from error
    return None


def _serve(port: int) -> None:
    from kitlib.images.registry.server import Registry

    home = Path(os.environ.get("KIT_HOME") or Path.home() / ".kit")
    try:
        registry = Registry(home / "registry", port=port)
    except (OSError, OverflowError) as error:
        raise CannotStart(f"port {port} of 127.0.0.1 cannot be had ({error}): give another one with --port.") from error
    print(f"registry at {registry.address}, its images in {home / 'registry'}; Ctrl-C ends it", flush=True)
    try:
        registry.serve_forever()
    finally:
        registry.server_close()


def _say(blob: Descriptor, what: str) -> None:
    if what != "pulling":
        print(f"{blob.digest.removeprefix('sha256:')[:12]}  {what}")


def _push(arguments: argparse.Namespace) -> None:
    from kitlib.images.registry.client import push
    from kitlib.images.store import default_store

    store = default_store()
    image = store.find(arguments.image)
    if image is None:
        raise KitError(f"there is no image {arguments.image} in the store: `kit image tag` gives one that name.")
    digest = push(store, image, arguments.image, (lambda blob, what: None) if arguments.json else _say)
    print_json({"name": arguments.image, "digest": digest}) if arguments.json else print(f"digest: {digest}")


def _pull(arguments: argparse.Namespace) -> None:
    from kitlib.images.registry.client import pull
    from kitlib.images.store import default_store

    image = pull(default_store(), arguments.image, (lambda blob, what: None) if arguments.json else _say)
    print_json({"name": image.name, "digest": image.digest}) if arguments.json else print(f"digest: {image.digest}")
