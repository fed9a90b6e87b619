"""An image's layers in a notebook: `kit.layers`.

    kit.layers("kit/app:v1")                   the stack, and below it every layer's files
    kit.layers("app.tar")                      an archive (docker save, OCI), or a directory with an OCI layout
    kit.layers(client.images.get("app:1"))     an image of the docker SDK; with client=... a name of that engine
    kit.layers(container="web")                what a container has written, on top of its image
    kit.layers("app:2", compare="app:1")       side by side: which instruction broke the cache, what differs
"""

from __future__ import annotations

from typing import Any, overload

from kitlib.cluster.errors import KitError
from kitlib.images.errors import ImageError
from kitlib.views.compare_figure import ComparisonFigure
from kitlib.views.layers_figure import LayersFigure


@overload
def layers(image: Any, *, compare: Any, client: Any = None, verify: bool = False) -> ComparisonFigure: ...
@overload
def layers(image: Any = None, *, container: Any = None, client: Any = None, verify: bool = False) -> LayersFigure: ...
def layers(image: Any = None, *, container: Any = None, compare: Any = None, client: Any = None,
           verify: bool = False) -> LayersFigure | ComparisonFigure:
    """An image (or a container with its image) taken apart, or compared with an earlier one.

    client: a docker.DockerClient to ask, instead of looking at files, our store, and the engine of $DOCKER_HOST.
    verify: read every byte and check it against its digest.  Raises KitError in one sentence.
    """
    from kitlib.book.session import speak_plainly
    from kitlib.images.explorer import look

    speak_plainly()
    if (image is None) == (container is None):
        raise KitError("give an image, or container=, and not both.")
    if container is not None and compare is not None:
        raise KitError("compare= needs an image: a container is shown with its own.")
    try:
        if compare is not None:
            from kitlib.images.explorer.compare import compare as compare_images

            with look.opened(compare, client=client, verify=verify) as before, \
                    look.opened(image, client=client, verify=verify) as after:
                return ComparisonFigure(compare_images(before, after).json())
        if container is None:
            return LayersFigure(look.image(image, client=client, verify=verify).json())
        report, written = look.container(container, client=client, verify=verify)
    except ImageError as error:
        raise KitError(f"{error}.") from error
    return LayersFigure({**report.json(), "container": written.json()})
