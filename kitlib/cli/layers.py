"""`kit layers IMAGE | ARCHIVE | DIRECTORY`: an image taken apart.

    kit layers kit/app:v1                     the stack: instruction, layer, size, what changed
    kit layers app.tar --files                every path of every layer; --files '/etc/*' those of a pattern
    kit layers app.tar --tree                 what a container sees, all layers together
    kit layers docker://app:1                 of the Docker Engine ($DOCKER_HOST)
    kit layers --container web                what a container has written, on top of its image
    kit layers kit/app:v2 --compare kit/app:v1
    kit layers kit/app:v1 --html app.html     the same as a page to click through
    kit layers kit/app:v1 --lowest-efficiency 0.95 --highest-wasted-bytes 20MB      for CI: 1 if it is worse
    kit layers kit/app:v1 --json              docs/layers.md says what is in it

Nothing is copied: an archive is read where it lies.  Digests of layers are checked with --verify only.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.cli.common import Commands, command, note, print_json
from kitlib.cluster.errors import EXIT_FAILED, KitError, UsageError

if TYPE_CHECKING:
    from kitlib.views.compare_figure import ComparisonFigure
    from kitlib.views.layers_figure import LayersFigure


def register(commands: Commands) -> None:
    parser = command(commands, "layers", run_layers, cluster=False, description=__doc__)
    parser.add_argument("image", nargs="?", help="a name in the store or the Docker Engine, or a file or directory")
    parser.add_argument("--container", metavar="NAME", help="a container of the Docker Engine, and its image")
    parser.add_argument("--compare", "--against", metavar="IMAGE", help="compare with an earlier image")
    parser.add_argument("--files", nargs="?", const="*", default="", metavar="PATTERN",
                        help="also the paths that a layer adds, changes or removes (those like /etc/*)")
    parser.add_argument("--tree", nargs="?", const="*", default="", metavar="PATTERN",
                        help="also what a container sees, each path with the layer that has it")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page that needs nothing else")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the stack picture")
    parser.add_argument("--lowest-efficiency", type=float, metavar="N", help="0 to 1: less is a failure (code 1)")
    parser.add_argument("--highest-wasted-bytes", type=_bytes, metavar="SIZE", help="20MB, say: more is a failure")
    parser.add_argument("--verify", action="store_true", help="check every layer against its digest first")


def run_layers(arguments: argparse.Namespace) -> int | None:
    from kitlib.images.errors import ImageError

    if bool(arguments.image) == bool(arguments.container):
        raise UsageError("give an image, or --container NAME, and not both.")
    try:
        if arguments.json and not arguments.compare:
            return _print_json(arguments)
        figure = _compared(arguments) if arguments.compare else _looked_at(arguments)
    except ImageError as error:
        raise KitError(f"{error}.") from error
    failed = _judge(figure.data, arguments)
    if arguments.json:
        print_json(figure.data)
        return failed
    if arguments.svg:
        arguments.svg.write_text(figure.svg, encoding="utf-8")
        note(f"wrote {arguments.svg}")
    if arguments.html:
        note(f"wrote {figure.save(arguments.html)}")
    if not arguments.svg and not arguments.html:
        more = {"tree": arguments.tree} if arguments.tree else {}
        print(figure.text(files=arguments.files, **more, width=shutil.get_terminal_size().columns,
                          coloured=sys.stdout.isatty() and not os.environ.get("NO_COLOR")))
    return failed


def _judge(data: Mapping[str, Any], arguments: argparse.Namespace) -> int | None:
    """By the rules that dive's CI mode has, too.  Of two images the newer one is judged."""
    image = data.get("after", data)
    wasted, efficiency = image["wastedBytes"], image["efficiency"]
    failed = None
    if arguments.lowest_efficiency is not None and efficiency < arguments.lowest_efficiency:
        failed = EXIT_FAILED
        note(f"its efficiency is {efficiency:.4f}, below {arguments.lowest_efficiency:g}.")
    if arguments.highest_wasted_bytes is not None and wasted > arguments.highest_wasted_bytes:
        failed = EXIT_FAILED
        note(f"{wasted:,} bytes are wasted, more than {arguments.highest_wasted_bytes:,}.")
    return failed


def _bytes(text: str) -> int:
    """20MB, 300kB, 1000."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?(k|M|G|)B?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 20MB")
    return int(float(match[1]) * {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}[match[2]])


def _looked_at(arguments: argparse.Namespace) -> LayersFigure:
    from kitlib.images.explorer import look
    from kitlib.views.layers_figure import LayersFigure

    if arguments.container:
        report, written = look.container(arguments.container, verify=arguments.verify)
        return LayersFigure({**report.json(), "container": written.json()})
    return LayersFigure(look.image(arguments.image, verify=arguments.verify).json())


def _print_json(arguments: argparse.Namespace) -> int | None:
    """Without loading what draws."""
    from kitlib.images.explorer import look

    more: dict[str, Any] = {}
    if arguments.container:
        report, written = look.container(arguments.container, verify=arguments.verify)
        more["container"] = written.json()
    else:
        report = look.image(arguments.image, verify=arguments.verify)
    sys.stdout.writelines(report.text(more))
    return _judge({"wastedBytes": report.wasted_bytes, "efficiency": report.efficiency}, arguments)


def _compared(arguments: argparse.Namespace) -> ComparisonFigure:
    from kitlib.images.explorer import look
    from kitlib.images.explorer.compare import compare
    from kitlib.views.compare_figure import ComparisonFigure

    if arguments.container:
        raise UsageError("--compare needs an image: a container is shown with its own.")
    if arguments.tree:
        raise UsageError("--tree is of one image.")
    with look.opened(arguments.compare, verify=arguments.verify) as before, \
            look.opened(arguments.image, verify=arguments.verify) as after:
        return ComparisonFigure(compare(before, after).json())
