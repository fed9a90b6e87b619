"""`kit bench images`: images and containers beside the tools that everybody uses, both in one run on one machine.

    analysis.py   taking a 500 MB image apart, beside dive
    building.py   a build of twenty steps, beside docker build
    measured.py   a program that is run: its time, its memory

Each module in MODULES has `measure(times)`: it gives figures (figures.side_by_side makes two of each comparison, what
we need and how many times better that is) and raises KitError in one sentence where the other tool is not there; then
that module's figures are left out, and `note` is told why.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from kitlib.bench.figures import Figure
from kitlib.cluster.errors import KitError

MODULES = ("analysis", "building")


def measure(times: int, note: Callable[[str], None]) -> list[Figure]:
    figures: list[Figure] = []
    for name in MODULES:
        try:
            figures += import_module(f"{__name__}.{name}").measure(times)
        except KitError as error:
            note(f"no figures of images/{name}: {error}")
    return figures
