"""`kit layers IMAGE | TAR | DIRECTORY`: an image taken apart.

    kit layers kit/app:v1                     the stack: instruction, layer, size, what changed
    kit layers app.tar --files                every path of every layer
    kit layers kit/app:v2 --against kit/app:v1
    kit layers kit/app:v1 --json

An archive or OCI layout is read without being kept.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kitlib.cli.common import Commands, command, print_json
from kitlib.cluster.errors import KitError

if TYPE_CHECKING:
    from kitlib.images.explorer.report import Layer, Report

_SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_SIGNS = {"added": "+", "changed": "~", "removed": "-"}
MOST_WASTED = 10


def register(commands: Commands) -> None:
    parser = command(commands, "layers", run_layers, cluster=False, description=__doc__)
    parser.add_argument("image", help="a name in the store, or a file or directory with an image")
    parser.add_argument("--files", action="store_true", help="every path that a layer adds, changes or removes")
    parser.add_argument("--against", metavar="IMAGE", help="compare with another image")


def run_layers(arguments: argparse.Namespace) -> int | None:
    from kitlib.images.errors import ImageError
    from kitlib.images.explorer.compare import compare

    try:
        report = report_of(arguments.image)
        if arguments.against:
            other = report_of(arguments.against)
            difference = compare(other, report)
            if arguments.json:
                print_json({"shared": difference.shared, "sharedBytes": difference.shared_bytes,
                            "added": difference.added, "removed": difference.removed, "changed": difference.changed})
                return None
            print(f"{len(difference.shared)} layers are shared, {human(difference.shared_bytes)}")
            for sign, paths in (("+", difference.added), ("-", difference.removed), ("~", difference.changed)):
                for path in paths:
                    print(f"{sign} /{path}")
            return None
    except ImageError as error:
        raise KitError(f"{error}.") from error
    if arguments.json:
        print_json(report.json())
    else:
        _print(report, files=arguments.files)
    return None


def report_of(image: str) -> Report:
    """Raises KitError or ImageError."""
    from kitlib.images import archive
    from kitlib.images.explorer.report import analyse
    from kitlib.images.store import ImageStore, default_store

    if Path(image).exists():
        with tempfile.TemporaryDirectory() as place:
            store = ImageStore(Path(place))
            return analyse(store, archive.load(store, Path(image))[0])
    store = default_store()
    found = store.find(image)
    if found is None:
        raise KitError(f"there is no image {image} in the store, and no file of that name: `kit image list` shows "
                       "what there is.")
    return analyse(store, found)


def human(count: int) -> str:
    return next((f"{count / unit:.3g} {name}" for unit, name in _SIZES if count >= unit), f"{count} B")


def _print(report: Report, *, files: bool) -> None:
    layers = {layer.number: layer for layer in report.layers}
    shared = max((len(step.instruction) for step in report.steps), default=0)
    width = min(60, shared)
    for step in reversed(report.steps):
        layer = layers.get(step.layer or 0)
        text = step.instruction if len(step.instruction) <= width else step.instruction[:width - 1] + "…"
        number = f"{layer.number:>3}" if layer else "  ·"
        print(f"{number}  {text.ljust(width)}  {human(layer.size) if layer else '0 B':>8}  "
              f"{_counts(layer) if layer else 'no layer'}".rstrip())
        if files and layer:
            for change in layer.changes:
                print(f"       {_SIGNS[change.kind]} /{change.path}  {human(change.size)}")
    print(f"\n{human(report.size)} in {len(report.layers)} layers; efficiency {report.efficiency:.1%}, "
          f"{human(report.wasted_bytes)} wasted")
    for each in report.wasted[:MOST_WASTED]:
        if each.size:
            print(f"  {human(each.size):>8}  in {each.count} layers  /{each.path}")
    for finding in report.secrets:
        where = f"layer {finding.layer}" if finding.layer else "configuration"
        hidden = f"; layer {finding.hidden_by} only hides it" if finding.hidden_by else ""
        print(f"  secret?   {finding.where} ({where}): {finding.why}{hidden}")


def _counts(layer: Layer) -> str:
    return "  ".join(f"{_SIGNS[kind]} {count}" for kind in _SIGNS if (count := layer.count(kind)))
