"""`kit node [stop | kill | start] NAME`: the power button of a node.

    kit node                     the nodes that can be switched, and their state
    kit node stop node-2         in order: Pods end by their grace periods, the Node says that it shuts down
    kit node kill node-2         the plug is pulled: nobody is told, the Node's Lease just grows old
    kit node start node-2        on again

After about 50 seconds of silence a Node counts as lost; five minutes later its Pods are deleted for good.
"""

from __future__ import annotations

import argparse

from kitlib.cli.common import Commands, command, print_json, print_table


def register(commands: Commands) -> None:
    parser = command(commands, "node", run_node, description=__doc__)
    parser.add_argument("verb", nargs="?", choices=("stop", "kill", "start"))
    parser.add_argument("node", nargs="?", help="its name, such as node-2")
    parser.add_argument("--seconds", type=float, metavar="S", help="stop: what all its Pods have together (30)")


def run_node(arguments: argparse.Namespace) -> int | None:
    from kitlib.cluster.embedded import EmbeddedCluster
    from kitlib.cluster.errors import UsageError
    from kitlib.cluster.find import find
    from kitlib.cluster.notebook import power, use

    cluster = EmbeddedCluster(find(arguments.name))
    if arguments.verb and not arguments.node:
        raise UsageError(f"`kit node {arguments.verb}` needs the name of a node: `kit node` lists them.")
    if arguments.verb:
        use(cluster)
        state = power(arguments.node, arguments.verb, seconds=arguments.seconds)
        print_json({arguments.node: state}) if arguments.json else print(f"{arguments.node} is {state}")
        return None
    states = cluster.client().transport.request("GET", "/kit/nodes")["nodes"]
    if arguments.json:
        print_json(states)
    else:
        print_table(("NAME", "STATE"), list(states.items()))
    return None
