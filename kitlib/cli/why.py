"""`kit why POD|OBJECT`: the chain of causes behind an object's last change, back to a person.

    kit why pod/web-x7k2p -n lab09       as text, one write a line
    kit why deploy/web --json            the same as records
"""

from __future__ import annotations

import argparse

from kitlib.cli.common import Commands, cluster_of, command, namespace_of, print_json
from kitlib.cluster.errors import KitError, UsageError


def register(commands: Commands) -> None:
    parser = command(commands, "why", run_why, description=__doc__)
    parser.add_argument("target", help="an object: pod/web-x7k2p, rs/web, deploy/web")
    parser.add_argument("-n", "--namespace", help="its namespace (else the kubeconfig's)")


def run_why(arguments: argparse.Namespace) -> None:
    from kitlib.trace.flow import BadTarget
    from kitlib.trace.why import fetch

    namespace = namespace_of(arguments)
    try:
        found = fetch(cluster_of(arguments).client("kit-why"), arguments.target, namespace)
    except BadTarget as error:
        raise UsageError(str(error)) from error
    if not found.links:
        raise KitError(f"nothing is known about {arguments.target} in namespace {namespace}.")
    if arguments.json:
        print_json(found.json())
    else:
        print(found)
