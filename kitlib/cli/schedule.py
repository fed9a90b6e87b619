"""`kit schedule POD`: why the Pod is where it is, or nowhere.

    kit schedule web -n lab13            each node's verdict: which filter refused it, or its points by plugin
    kit schedule web --svg why.svg       the same as a picture
    kit schedule web --json              all that was kept of the decision, with kube-scheduler-simulator's annotations
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kitlib.cli.common import Commands, cluster_of, command, namespace_of, note, print_json


def register(commands: Commands) -> None:
    parser = command(commands, "schedule", run_schedule, description=__doc__)
    parser.add_argument("pod", help="its name: web-x7k2p or pod/web-x7k2p")
    parser.add_argument("-n", "--namespace", help="its namespace (else the kubeconfig's)")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the figure to a file")


def run_schedule(arguments: argparse.Namespace) -> None:
    from kitlib.cluster.decisions import newest
    from kitlib.views.decision_figure import DecisionFigure

    decision = newest(cluster_of(arguments).client("kit-view"), arguments.pod, namespace_of(arguments))
    figure = DecisionFigure(decision)
    if arguments.svg:
        arguments.svg.write_text(figure.svg, encoding="utf-8")
        note(f"wrote {arguments.svg}")
    if arguments.json:
        print_json(decision)
    elif not arguments.svg:
        print(figure)
