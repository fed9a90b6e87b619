"""`kit at REVISION [RESOURCES] [NAME]`: the cluster as it was.

    kit at 120                      Deployments, ReplicaSets, Pods and Services of the namespace
    kit at 120 pods,rs -n lab09     these
    kit at 120 pod web-x7k2p -o yaml
    kit at -5                       five revisions ago

Revisions stand in `kit flow`, `kit why` and in every object's metadata.resourceVersion.
"""

from __future__ import annotations

import argparse

from kitlib.cli.common import Commands, cluster_of, command, namespace_of, print_json
from kitlib.cluster.errors import KitError, UsageError


def register(commands: Commands) -> None:
    parser = command(commands, "at", run_at, description=__doc__)
    parser.add_argument("revision", help="a number; a negative one counts back from now")
    parser.add_argument("resources", nargs="?", default="", help="as in `kubectl get`: rs,pods or things.example.com")
    parser.add_argument("object", nargs="?", default="", metavar="name", help="one of them")
    parser.add_argument("-n", "--namespace", help="their namespace (else the kubeconfig's)")
    parser.add_argument("-o", "--output", choices=("yaml", "json"), help="the objects themselves")


def run_at(arguments: argparse.Namespace) -> None:
    from kitlib.trace import past

    client, namespace = cluster_of(arguments).client("kit-at"), namespace_of(arguments)
    try:
        revision = int(arguments.revision)
    except ValueError:
        raise UsageError(f"{arguments.revision!r} is not a revision: a number, such as a resourceVersion.") from None
    if revision <= 0:
        revision += past.now(client)
    if revision <= 0:
        raise UsageError("this cluster has not had so many revisions.")
    resources = past.resources_of(arguments.resources) or past.SHOWN
    if arguments.output or arguments.json:
        found = past.objects(client, revision, namespace, resources, arguments.object)
        if arguments.output == "yaml":
            import yaml

            print(yaml.safe_dump_all(found, sort_keys=False, allow_unicode=True), end="")
        else:
            print_json(found)
        return
    seen = past.look(client, revision, namespace, resources, arguments.object)
    if not str(seen):
        raise KitError(f"at revision {revision} there was none of {', '.join(resources)} in namespace {namespace}.")
    print(seen)
