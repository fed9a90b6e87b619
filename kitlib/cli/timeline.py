"""`kit timeline pod/web`: what a Pod and its containers were, from when to when.

    kit timeline web -n lab08             as text
    kit timeline web --svg life.svg       as a picture
    kit timeline web --json               spans and Events with their times in seconds
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kitlib.cli.common import Commands, command, namespace_of, print_json
from kitlib.cluster.errors import UsageError


def register(commands: Commands) -> None:
    parser = command(commands, "timeline", run_timeline)
    parser.add_argument("target", help="a Pod: web-x7k2p or pod/web-x7k2p")
    parser.add_argument("-n", "--namespace", help="its namespace (else the kubeconfig's)")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the figure to a file")


def run_timeline(arguments: argparse.Namespace) -> int | None:
    from kitlib.cluster.embedded import EmbeddedCluster
    from kitlib.cluster.find import find
    from kitlib.trace.flow import BadTarget
    from kitlib.views.life_svg import describe, render
    from kitlib.views.pod_figures import life

    cluster = EmbeddedCluster(find(arguments.name))
    try:
        found = life(cluster.client("kit-view"), arguments.target, namespace_of(arguments))
    except BadTarget as error:
        raise UsageError(str(error)) from error
    if arguments.svg:
        arguments.svg.write_text(render(found), encoding="utf-8")
        print(f"wrote {arguments.svg}")
    if arguments.json:
        print_json(found.json())
    elif not arguments.svg:
        print(describe(found))
    return None
