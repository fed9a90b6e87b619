"""A chapter's container engine: which one it is, and what its images are built on.

    kit.base_image("busybox")      is it there?  Else it is made here (no network is needed), or pulled.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.cluster.dockerengine import Endpoint, use
from kitlib.cluster.errors import KitError

if TYPE_CHECKING:
    from kitlib.checks.framework import Lab


def engine_for(lab: Lab) -> Endpoint | None:
    """The engine that a chapter means (DOCKER_HOST says so from now on), or None if it has no use for one."""
    return use() if lab.engine else None


def base_image(name: str) -> None:
    """See to it that the engine has this base image, and say where from.  Raises KitError in one sentence."""
    import docker
    from docker.errors import DockerException, ImageNotFound

    try:
        api = docker.from_env().api
        try:
            found, how = api.inspect_image(name), "was there"
        except ImageNotFound:
            how = _make(api, name) or _pull(api, name)
            found = api.inspect_image(name)
    except (DockerException, OSError) as error:
        raise KitError(f"The base image {name} cannot be had: {error}.") from None
    print(f"{name}: {len(found['RootFS']['Layers'])} layer(s); it {how}.")


def _make(api: Any, name: str) -> str:
    """Made on this machine; "" if that cannot be."""
    from kitlib.images import base
    from kitlib.images.archive import save
    from kitlib.images.errors import ImageError
    from kitlib.images.store import ImageStore

    if name not in base.RECIPES:
        return ""
    with tempfile.TemporaryDirectory(prefix="kit-base-") as place, tempfile.TemporaryFile() as file:
        store = ImageStore(Path(place))
        try:
            made = base.RECIPES[name](store)
        except ImageError:
            return ""
        save(store, [made], file)
        file.seek(0)
        for _ in api.load_image(file):
            pass
    return "was made on this machine"


def _pull(api: Any, name: str) -> str:
    api.pull(name, tag="latest")
    return "was pulled"
