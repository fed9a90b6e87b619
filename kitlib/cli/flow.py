"""`kit flow rs/NAME`: who did what because of what, for one object.

    kit flow rs/web -n lab09
    kit flow deploy/web --svg flow.svg
    kit flow pod/web-x7k2p --json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kitlib.cli.common import Commands, command, note, print_json
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import KitError, UsageError
from kitlib.cluster.find import find
from kitlib.objects.errors import StatusError
from kitlib.trace.flow import BadTarget
from kitlib.views import flow_svg, flow_text
from kitlib.views.figure import fetch


def register(commands: Commands) -> None:
    flow = command(commands, "flow", run_flow)
    flow.add_argument("target", metavar="KIND/NAME", help="such as rs/web, deploy/web or pod/web-x7k2p")
    flow.add_argument("-n", "--namespace", default="default", metavar="NS", help="the object's (default: default)")
    flow.add_argument("--svg", type=Path, metavar="FILE", help="write the figure as SVG")


def run_flow(arguments: argparse.Namespace) -> int | None:
    client = EmbeddedCluster(find(arguments.name)).client("kit-flow")
    try:
        flow = fetch(client, arguments.target, arguments.namespace)
    except BadTarget as error:
        raise UsageError(str(error)) from None
    except StatusError as error:
        raise KitError(error.message) from None
    if arguments.svg:
        try:
            arguments.svg.write_text(flow_svg.render(flow), encoding="utf-8")
        except OSError as error:
            raise KitError(f"cannot write {arguments.svg}: {error.strerror}") from None
        note(f"{len(flow.steps)} steps drawn in {arguments.svg}")
    if arguments.json:
        print_json(flow.json())
    elif not arguments.svg:
        print(flow_text.render(flow))
    return None if flow.steps else 1
