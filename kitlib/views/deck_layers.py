"""Figures for the slides of lab03: small images, told by their layers, and taken apart by the explorer itself.

    !figure layers talk        the talk's own example, with the sizes of its page 37
    !figure layers cow         a container on its image;  secret, fat, slim: as in exercises 8 and 10
    !figure shared             which image lists which layer
    !figure cache              what a new page costs, by the order of two lines

What a layer changes, hides and wastes is computed from its files as for any image, so no picture can claim what the
explorer would not find.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kitlib.images.explorer.report import Scanned, report
from kitlib.images.explorer.scan import DIRECTORY, FILE, WHITEOUT, File
from kitlib.images.explorer.secrets import Finding
from kitlib.images.explorer.source import Place
from kitlib.views import grid, layers_svg
from kitlib.views.grid import Cell, Column

_Step = tuple[str, tuple[File, ...]]  # an instruction, and what its layer has (nothing: no layer)


def _file(path: str, size: int, mode: int = 0o644) -> File:
    return File(path, FILE, size, mode)


_BASE = ("FROM busybox", (File("bin", DIRECTORY), _file("bin/busybox", 2_000_000), _file("etc/passwd", 200)))
_LIST, _BAG = _file("var/lists/packages", 600_000), _file("opt/bag", 300_000)
_IMAGES: dict[str, tuple[str, tuple[_Step, ...]]] = {
    "talk": ("sample-image", (
        ("FROM centos:7", (_file("usr/lib64/libc.so.6", 200_000_000),)),
        ("RUN yum -y install epel-release", (_file("var/cache/yum/epel.sqlite", 99_500_000),)),
        ("RUN yum -y install nginx", (_file("usr/sbin/nginx", 214_000_000),)),
        ("COPY nginx.conf /etc/nginx/", (_file("etc/nginx/nginx.conf", 3_510),)),
        ('ENTRYPOINT ["nginx", "-g", "daemon off;"]', ()))),
    "cow": ("lab03/kitchen:1", (
        _BASE, ("RUN … recipe menu old book", (_file("srv/recipe", 6), _file("srv/menu", 6), _file("srv/old", 6),
                                               _file("srv/book", 2_000_000))))),
    "secret": ("lab03/leaky:1", (
        _BASE, ("COPY secret.key /", (_file("secret.key", 25),)),
        ("RUN sha256sum < /secret.key > /srv/seal", (_file("srv/seal", 65),)),
        ("RUN rm /secret.key", (File("secret.key", WHITEOUT),)), ('CMD ["cat", "/srv/seal"]', ()))),
    "fat": ("lab03/fat:1", (
        _BASE, ("RUN fetch the list", (_LIST,)), ("RUN install from it", (_BAG,)),
        ("RUN rm -r /var/lists", (File("var/lists", WHITEOUT),)),
        ("RUN chmod 755 /opt/bag", (_BAG._replace(mode=0o755),)))),
    "slim": ("lab03/slim:1", (
        _BASE, ("RUN fetch && install && rm && chmod", (_BAG._replace(mode=0o755),)))),
}
_WRITTEN = {"name": "lab03-kitchen", "status": "exited", "size": 2_000_016, "changes": [
    {"path": path, "kind": kind, "type": FILE, "size": size, "before": 0} for path, kind, size in (
        ("/srv/menu", "changed", 11), ("/srv/book", "changed", 2_000_000), ("/srv/special", "added", 5),
        ("/srv/old", "removed", 0))]}


def layers(which: str = "talk") -> str:
    """The stack of one of the images above.  Raises ValueError for what there is not."""
    if which not in _IMAGES:
        raise ValueError(f"there is {', '.join(_IMAGES)}")
    name, steps = _IMAGES[which]
    made = [(words, files) for words, files in steps if files]
    digests = [f"sha256:{number:064x}" for number, _ in enumerate(made, 1)]
    config: dict[str, Any] = {
        "rootfs": {"type": "layers", "diff_ids": digests},
        "history": [{"created_by": words} | ({} if files else {"empty_layer": True}) for words, files in steps]}
    key = [Finding("/secret.key", 2, "the oven's key")] if which == "secret" else []
    scanned = [Scanned(digest, Place(Path(), 0, sum(f.size for f in files)), list(files), key if number == 2 else [])
               for number, (digest, (_, files)) in enumerate(zip(digests, made, strict=True), 1)]
    found = report(name, digests[-1], config, scanned).json()
    return layers_svg.render({**found, "container": _WRITTEN} if which == "cow" else found)


def shared() -> str:
    """Exercise 5: four images, four layers."""
    images = {"busybox": 1, "bakehouse": 2, "bread": 3, "cake": 4}
    rows = (("cake's layer", {4}, "5 bytes"), ("bread's layer", {3}, "6 bytes"),
            ("flour", {2, 3, 4}, "700 kB, once on the disk"),
            ("busybox's layer", {1, 2, 3, 4}, "2 MB, once on the disk"))
    listed = tuple((name, tuple(Cell("lists it" if number in who else "", "shared" if number in who and len(who) > 1
                                     else "layer" if number in who else "") for number in images.values()), size,
                    "shared" if len(who) > 1 else "layer") for name, who, size in rows)
    return grid.svg(grid.Grid("Who lists which layer", tuple(Column(name) for name in images), listed,
                              ("A layer goes when the last image that lists it goes; docker rmi takes names away.",)),
                    names=150, verdicts=220)


def cache() -> str:
    """Exercise 4: the same two lines in both orders, after the page has changed."""
    kept, anew = Cell("cache", "kept"), Cell("anew", "removed")
    rows = (("FROM busybox", (kept, kept), "stands on nothing", "kept"),
            ("second line", (Cell("COPY: anew", "removed"), Cell("RUN: cache", "kept")), "has its input changed?", ""),
            ("third line", (Cell("RUN: anew", "removed"), Cell("COPY: anew", "removed")), "stands on the second", ""),
            ("an hour of installing", (anew, kept), "once for every page, or once", ""))
    return grid.svg(grid.Grid("A new page, and what has to be done for it", (
        Column("COPY, then RUN", "the page at the top"), Column("RUN, then COPY", "the page at the end")), rows,
        ("From the first step whose input has changed, everything is done anew.",)), names=190, verdicts=260)
