"""`kit layers IMAGE | ARCHIVE | DIRECTORY`: an image taken apart.

    kit layers kit/app:v1                     the stack: instruction, layer, size, what changed
    kit layers app.tar --files                every path of every layer
    kit layers docker://app:1                 of the Docker Engine ($DOCKER_HOST)
    kit layers --container web                what a container has written, on top of its image
    kit layers kit/app:v2 --compare kit/app:v1
    kit layers kit/app:v1 --html app.html     the same as a page to click through
    kit layers kit/app:v1 --json              docs/layers.md says what is in it

Nothing is copied: an archive is read where it lies.  Digests of layers are checked with --verify only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.cli.common import Commands, command, note
from kitlib.cluster.errors import KitError, UsageError

if TYPE_CHECKING:
    from kitlib.views.compare_figure import ComparisonFigure
    from kitlib.views.layers_figure import LayersFigure


def register(commands: Commands) -> None:
    parser = command(commands, "layers", run_layers, cluster=False, description=__doc__)
    parser.add_argument("image", nargs="?", help="a name in the store or the Docker Engine, or a file or directory")
    parser.add_argument("--container", metavar="NAME", help="a container of the Docker Engine, and its image")
    parser.add_argument("--compare", "--against", metavar="IMAGE", help="compare with an earlier image")
    parser.add_argument("--files", action="store_true", help="every path that a layer adds, changes or removes")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page that needs nothing else")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the stack picture")
    parser.add_argument("--verify", action="store_true", help="check every layer against its digest first")


def run_layers(arguments: argparse.Namespace) -> int | None:
    from kitlib.images.errors import ImageError

    if bool(arguments.image) == bool(arguments.container):
        raise UsageError("give an image, or --container NAME, and not both.")
    try:
        figure = _compared(arguments) if arguments.compare else _looked_at(arguments)
    except ImageError as error:
        raise KitError(f"{error}.") from error
    if arguments.json:
        _dump(figure.data)
        return None
    if arguments.svg:
        arguments.svg.write_text(figure.svg, encoding="utf-8")
        note(f"wrote {arguments.svg}")
    if arguments.html:
        note(f"wrote {figure.save(arguments.html)}")
    if not arguments.svg and not arguments.html:
        print(figure.text(files=arguments.files, width=shutil.get_terminal_size().columns,
                          coloured=sys.stdout.isatty() and not os.environ.get("NO_COLOR")))
    return None


def _looked_at(arguments: argparse.Namespace) -> LayersFigure:
    from kitlib.images.explorer import look
    from kitlib.views.layers_figure import LayersFigure

    if arguments.container:
        report, written = look.container(arguments.container, verify=arguments.verify)
        return LayersFigure({**report.json(), "container": written.json()})
    return LayersFigure(look.image(arguments.image, verify=arguments.verify).json())


def _compared(arguments: argparse.Namespace) -> ComparisonFigure:
    from kitlib.images.explorer import look
    from kitlib.images.explorer.compare import compare
    from kitlib.views.compare_figure import ComparisonFigure

    if arguments.container:
        raise UsageError("--compare needs an image: a container is shown with its own.")
    with look.opened(arguments.compare, verify=arguments.verify) as before, \
            look.opened(arguments.image, verify=arguments.verify) as after:
        return ComparisonFigure(compare(before, after).json())


def _dump(document: Mapping[str, Any]) -> None:
    """One line for each path and layer would be slow in Python; this is C, and as deterministic."""
    import json

    sys.stdout.write(json.dumps(document) + "\n")
