"""`kit bench`: the figures we promise, measured here, on a cluster of its own that is deleted afterwards.

    kit bench                  all of them, about a minute
    kit bench up scale         only some: up, scale, check, api, node, rules, images
    kit bench --json

0: every promise holds on this machine; 1: not all.
"""

from __future__ import annotations

import argparse
import os

from kitlib.cli.common import Commands, command, note, print_json, print_table
from kitlib.cluster.errors import EXIT_FAILED

PARTS = ("up", "scale", "check", "api", "node", "rules", "images")
STEM = "lab09_replicaset_flow"


def register(commands: Commands) -> None:
    parser = command(commands, "bench", run_bench, cluster=False, description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--times", type=int, default=5, help="how often to repeat what is repeated")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each load on the API lasts")


def run_bench(arguments: argparse.Namespace) -> int | None:
    from kitlib.bench import api, cluster, images, machine, node, rules, traffic
    from kitlib.cluster.embedded import EmbeddedCluster
    from kitlib.cluster.errors import CannotStart, UsageError
    from kitlib.cluster.home import ClusterDir
    from kitlib.cluster.interface import Settings

    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        raise UsageError(f"there is no part {', '.join(sorted(unknown))}; there is: {', '.join(PARTS)}.")
    parts, here = arguments.parts or PARTS, machine.describe()
    subject, served, nodes, real = (EmbeddedCluster(ClusterDir(f"bench-{os.getpid()}-{use}"))
                                    for use in ("lab", "api", "node", "oci"))
    figures = []
    try:
        if "up" in parts:
            figures += cluster.measure_up(subject.name, arguments.times)
        if "scale" in parts or "check" in parts:
            subject.start(Settings(3, 2) if "up" not in parts else None)
        if "scale" in parts:
            figures += cluster.measure_scale(subject)
        if "check" in parts:
            figures.append(cluster.measure_check(subject, STEM, arguments.times))
        subject.delete()
        if "api" in parts:
            served.start(Settings(nodes=0, bare=True))
            figures += api.measure(served, arguments.seconds)
        served.delete()
        if "node" in parts:
            nodes.start(Settings(3))
            figures += traffic.measure(nodes, arguments.seconds) + node.measure(nodes, arguments.times)
            nodes.delete()
            try:
                real.start(Settings(1, runtime="oci"))
            except CannotStart as error:
                note(f"no figure for real containers: {error}")
            else:
                figures += node.measure(real, arguments.times, "oci")
        if "rules" in parts:
            figures += rules.measure(arguments.times)
        if "images" in parts:
            figures += images.measure(arguments.times, note)
    finally:
        for each in (subject, served, nodes, real):
            each.delete()
    if arguments.json:
        print_json({"machine": here, "figures": [figure.as_json() for figure in figures]})
    else:
        print(machine.sentence(here) + "\n")
        print_table(("FIGURE", "MEASURED", "PROMISED", "", "REAL ONE", "RATIO", "REMARK"),
                    [(f.name, f"{f.value:g} {f.unit}",
                      "-" if f.promised is None else f"{'≤' if f.at_most else '≥'} {f.promised:g} {f.unit}",
                      {True: "ok", False: "NOT KEPT", None: ""}[f.kept],
                      "-" if f.real is None else f"{f.real:g} {f.unit}",
                      "-" if f.ratio is None else f"{f.ratio:g} x", f.note) for f in figures])
    return EXIT_FAILED if any(figure.kept is False for figure in figures) else 0
