"""An image's layers in a notebook: `kit.layers`.

    kit.layers("kit/app:v1")                   the stack, and below it every layer's files
    kit.layers("app.tar")                      an archive (docker save, OCI), or a directory with an OCI layout
    kit.layers(client.images.get("app:1"))     an image of the docker SDK; with client=... a name of that engine
    kit.layers(container="web")                what a container has written, on top of its image
"""

from __future__ import annotations

from typing import Any

from kitlib.cluster.errors import KitError
from kitlib.images.errors import ImageError
from kitlib.views.layers_figure import LayersFigure


def layers(image: Any = None, *, container: Any = None, client: Any = None, verify: bool = False) -> LayersFigure:
    """An image (or a container with its image) taken apart.  Raises KitError in one sentence.

    client: a docker.DockerClient to ask, instead of looking at files, our store, and the engine of $DOCKER_HOST.
    verify: read every byte and check it against its digest.
    """
    from kitlib.images.explorer import look

    if (image is None) == (container is None):
        raise KitError("give an image, or container=, and not both.")
    try:
        if container is None:
            return LayersFigure(look.image(image, client=client, verify=verify).json())
        report, written = look.container(container, client=client, verify=verify)
    except ImageError as error:
        raise KitError(f"{error}.") from error
    return LayersFigure({**report.json(), "container": written.json()})
