"""`kit slides`: a chapter's deck as one HTML file that works offline.

    kit slides lab09_replicaset_flow            writes work/lab09_replicaset_flow/slides.html
    kit slides lab09 --out deck.html
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kitlib.book import files
from kitlib.book.slides import build
from kitlib.cli.common import Commands, command
from kitlib.cluster.errors import KitError


def register(commands: Commands) -> None:
    slides = command(commands, "slides", run_slides, cluster=False, as_json=False)
    slides.add_argument("stem", metavar="LAB", help="such as lab09_replicaset_flow; lab09 is enough")
    slides.add_argument("--out", type=Path, metavar="FILE", help="default: work/LAB/slides.html")


def run_slides(arguments: argparse.Namespace) -> None:
    stem = files.find(arguments.stem)
    out = arguments.out or files.work() / stem / "slides.html"
    page = build(files.deck(stem))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise KitError(f"cannot write {out}: {error.strerror}") from None
    print(out)
