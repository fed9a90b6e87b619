"""What several command groups share: `--name`, `--json`, which cluster that is, and how things are printed."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.cli.main import help_of

if TYPE_CHECKING:
    from kitlib.cluster.interface import Cluster

Commands = Any  # argparse's subparsers action has no public type
Run = Callable[[argparse.Namespace], "int | None"]


def command(commands: Commands, name: str, run: Run, *, cluster: bool = True, as_json: bool = True,
            description: str | None = None) -> argparse.ArgumentParser:
    """Add one command; its help comes from the table in main.py."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=help_of(name), description=description or help_of(name) + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=run)
    if cluster:
        parser.add_argument("--name", metavar="NAME", help="which cluster (else $KUBECONFIG's, else the only one)")
    if as_json:
        parser.add_argument("--json", action="store_true", help="print JSON for programs")
    return parser


def cluster_of(arguments: argparse.Namespace) -> Cluster:
    """--name's cluster, else $KUBECONFIG's (ours or a foreign one), else the only one there is."""
    from kitlib.cluster.context import ContextCluster
    from kitlib.cluster.embedded import EmbeddedCluster
    from kitlib.cluster.find import find, from_environment

    path = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    if not arguments.name and path and from_environment() is None:
        return ContextCluster(Path(path))
    return EmbeddedCluster(find(arguments.name))


def namespace_of(arguments: argparse.Namespace) -> str:
    """--namespace, else the one of $KUBECONFIG's current context, as kubectl would take it."""
    if arguments.namespace:
        return str(arguments.namespace)
    if not os.environ.get("KUBECONFIG"):
        return "default"
    from kitlib.client.kubeconfig import load

    try:
        return load().namespace
    except FileNotFoundError:  # to kubectl, too, a file that is not there is an empty one
        return "default"


def print_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2, default=str)
    print()


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns as kubectl prints them: upper-case header, three spaces between."""
    table = [tuple(header), *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    for row in table:
        print("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def note(sentence: str) -> None:
    """Something worth knowing that is not the answer: on stderr, so that pipes stay clean."""
    print(f"kit: {sentence}", file=sys.stderr)
