"""`kit policy`: who may talk to whom, worked out from the NetworkPolicies; with --measure also tried.

    kit policy -n shop                                   every pair of Pods and every port they name
    kit policy -n shop --measure --svg who.svg           the same, tried by traffic, as a picture
    kit policy --from client --to web --port 8080        one connection: which rule lets it through, or why none does
    kit policy --from 203.0.113.9 --to svc/web           an address; a Service's endpoints, each
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.cli.common import Commands, cluster_of, command, namespace_of, note, print_json
from kitlib.cluster.errors import EXIT_FAILED, UsageError

if TYPE_CHECKING:
    from kitlib.cluster.reachability import Reachability


def register(commands: Commands) -> None:
    parser = command(commands, "policy", run_policy, description=__doc__)
    parser.add_argument("-n", "--namespace", action="append", help="the Pods' (else the kubeconfig's); may be repeated")
    parser.add_argument("--from", dest="source", metavar="POD|IP", help="explain one connection: who begins it")
    parser.add_argument("--to", dest="destination", metavar="POD|IP|svc/NAME", help="and where it goes")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="its port (else the destination's first)")
    parser.add_argument("--protocol", default="TCP", type=str.upper, choices=("TCP", "UDP", "SCTP"))
    parser.add_argument("--measure", action="store_true", help="try every TCP connection from inside the Pods")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the figure to a file")


def run_policy(arguments: argparse.Namespace) -> int | None:
    from kitlib.cluster.reachability import Reachability

    if bool(arguments.source) != bool(arguments.destination):
        raise UsageError("--from and --to belong together; without both the whole matrix is shown.")
    client = cluster_of(arguments).client("kit-policy")
    namespaces = arguments.namespace or [namespace_of(arguments)]
    look = Reachability(client, namespaces[0])
    if arguments.source:
        return _explain(look, arguments)
    return _matrix(look, namespaces, arguments, client)


def _explain(look: Reachability, arguments: argparse.Namespace) -> int | None:
    verdicts = look.explain(arguments.source, arguments.destination, arguments.port, arguments.protocol)
    if arguments.json:
        print_json([found.json() for found in verdicts])
    else:
        print("\n".join(line for found in verdicts for line in found.lines()))
    return None if any(found.allowed for found in verdicts) else EXIT_FAILED


def _matrix(look: Reachability, namespaces: list[str], arguments: argparse.Namespace, client: Any) -> int | None:
    from kitlib.traffic.attempts import measure
    from kitlib.views.policy_figure import PolicyFigure

    matrix = look.matrix(namespaces, arguments.port, arguments.protocol)
    figure = PolicyFigure(matrix, measure(client, matrix["cells"]) if arguments.measure else None)
    if arguments.svg:
        arguments.svg.write_text(figure.svg, encoding="utf-8")
        note(f"wrote {arguments.svg}")
    if arguments.json:
        cells = [{**cell, **({"measured": figure.outcome(cell)} if arguments.measure else {})}
                 for cell in matrix["cells"]]
        print_json({**matrix, "cells": cells})
    elif not arguments.svg:
        print(figure)
    return EXIT_FAILED if figure.differences else None
