"""`kit rules` and `kit walk`: kube-proxy's rules for a cluster, and a packet's way through them.

    kit rules --mode nftables --node node-2         as `nft list table ip kube-proxy` would print it there
    kit rules --mode ipvs --service default/web     only what is there because of one Service
    kit walk web:80 --from client                   a Pod's packet to a Service
    kit walk node-1:30080 --from 203.0.113.9        from outside to a node port
    kit walk web --mode nftables --svg walk.svg     drawn

The rules are computed from the API's Services and EndpointSlices, so every mode can be read on every cluster;
--applied reads those of a node's own kernel instead.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from kitlib.cli.common import Commands, cluster_of, command, namespace_of, note, print_json

if TYPE_CHECKING:
    from kitlib.cluster.dataplane import Dataplane

MODES = ("iptables", "nftables", "ipvs", "userspace")


def register(commands: Commands) -> None:
    rules = command(commands, "rules", run_rules)
    rules.add_argument("--service", metavar="NS/NAME", default="", help="only what this Service adds")
    walk = command(commands, "walk", run_walk)
    walk.add_argument("destination", metavar="DEST[:PORT]", help="a Service, a node or an address: web:80, web.shop, "
                                                                "10.96.0.5:80, node-1:30080")
    walk.add_argument("--from", dest="source", metavar="POD|NODE|ADDRESS", default="", help="who sends it")
    walk.add_argument("--to", dest="endpoint", metavar="POD|ADDRESS", default="", help="let chance choose it")
    walk.add_argument("--protocol", choices=("tcp", "udp", "sctp"), default="", help="default: the Service's, else tcp")
    walk.add_argument("--svg", type=Path, metavar="FILE", help="write the figure to a file")
    for parser in (rules, walk):
        parser.add_argument("--mode", choices=MODES, default="", help="default: the cluster's own if it has rules, "
                                                                     "else iptables")
        parser.add_argument("--applied", action="store_true", help="what the node's kernel really has (oci, as root)")
        parser.add_argument("--node", metavar="NODE", default="", help="whose rules (default: the source's, else the "
                                                                       "first node's)")
        parser.add_argument("-n", "--namespace", help="of short names (else the kubeconfig's)")


def run_rules(arguments: argparse.Namespace) -> int | None:
    plane = _dataplane(arguments)
    node = plane.context(arguments.node).node
    if arguments.applied:
        mode, text = plane.applied(node)
    else:
        mode, text = plane.mode_for(arguments.mode), plane.rules(arguments.mode, node, arguments.service)
    if arguments.json:
        print_json({"mode": mode, "node": node, "service": arguments.service, "computed": not arguments.applied,
                    "rules": text})
        return None
    note(f"{mode} rules of {node}, " + ("read from its kernel." if arguments.applied else
                                        "computed from the API's Services and EndpointSlices."))
    print(text, end="")
    return None


def run_walk(arguments: argparse.Namespace) -> int | None:
    from kitlib.views.walk_figure import WalkFigure

    figure = WalkFigure(_dataplane(arguments).walk(
        arguments.destination, source=arguments.source, mode=arguments.mode, node=arguments.node,
        endpoint=arguments.endpoint, protocol=arguments.protocol, applied=arguments.applied).json())
    if arguments.svg:
        arguments.svg.write_text(figure.svg, encoding="utf-8")
        note(f"wrote {arguments.svg}")
    if arguments.json:
        print_json(figure.walk)
    elif not arguments.svg:
        print(figure)
    return None


def _dataplane(arguments: argparse.Namespace) -> Dataplane:
    """Of the cluster that is meant: one of ours by name, else $KUBECONFIG's, whoever made it."""
    from kitlib.cluster.dataplane import Dataplane

    return Dataplane(cluster_of(arguments).client("kit-rules"), namespace_of(arguments))
