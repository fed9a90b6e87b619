"""`kit flow rs/web`: who did what because of what, for one object.

    kit flow rs/web -n lab09             as text
    kit flow rs/web --svg flow.svg       the talk's figure
    kit flow rs/web --json               steps with actors, revisions, causes and times
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kitlib.cli.common import Commands, command, namespace_of, print_json
from kitlib.cluster.errors import KitError, UsageError


def register(commands: Commands) -> None:
    parser = command(commands, "flow", run_flow)
    parser.add_argument("target", help="an object: rs/web, deploy/web, pod/web-x7k2p")
    parser.add_argument("-n", "--namespace", help="its namespace (else the kubeconfig's)")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the figure to a file")


def run_flow(arguments: argparse.Namespace) -> int | None:
    from kitlib.cluster.embedded import EmbeddedCluster
    from kitlib.cluster.find import find
    from kitlib.trace.flow import BadTarget
    from kitlib.views.figure import FlowFigure, fetch

    cluster = EmbeddedCluster(find(arguments.name))
    namespace = namespace_of(arguments)
    try:
        found = fetch(cluster.client("kit-flow"), arguments.target, namespace)
    except BadTarget as error:
        raise UsageError(str(error)) from error
    if not found.steps:
        raise KitError(f"nothing is known about {arguments.target} in namespace {namespace}.")
    figure = FlowFigure(found)
    if arguments.svg:
        arguments.svg.write_text(figure.svg, encoding="utf-8")
        print(f"wrote {arguments.svg}")
    if arguments.json:
        print_json(found.json())
    elif not arguments.svg:
        print(figure)
    return None

