"""`kit load`: so many requests a second on a Service, and what became of them.

    kit load http://web.default.svc/ --rps 200 --seconds 10
    kit load http://web/ --rps 50 --seconds 5 --no-keepalive --svg load.svg
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kitlib.cli.common import Commands, cluster_of, command, namespace_of, print_json
from kitlib.cluster.errors import EXIT_FAILED, UsageError

if TYPE_CHECKING:
    from kitlib.traffic.load.report import Report

LOAD = """Send so many requests a second to a Service, Pod or Ingress of the cluster, each when it is due, whatever
becomes of the others (an open loop), and show how long they took, which were lost and why, and who answered.

Latency counts from when a request was due, also if it then had to wait for a free connection.  Nothing is tried twice.
Addresses outside the cluster are refused.  On a cluster whose network is not this machine's (kind, or any other
context) the requests go by port-forward through its API, and the report says so.

Exit codes: 0 every request was answered, without an error; 1 some were not; 2, 3 and 70 as everywhere (kit --help)."""


def register(commands: Commands) -> None:
    parser = command(commands, "load", run_load, description=LOAD)
    parser.add_argument("url", help="for example http://web.default.svc/")
    parser.add_argument("--rps", type=float, default=100.0, metavar="N", help="requests a second (100)")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="for how long (10)")
    parser.add_argument("--connections", type=int, default=10, metavar="N", help="at most so many at once (10)")
    parser.add_argument("--keepalive", action=argparse.BooleanOptionalAction, default=True,
                        help="use a connection again, or open one for each request")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="S", help="lost if not answered in time (5)")
    parser.add_argument("-H", "--header", action="append", default=[], metavar="LINE", help="'Name: value'")
    parser.add_argument("-X", "--request", default="", metavar="METHOD", help="GET; with -d POST")
    parser.add_argument("-d", "--data", help="the body of each request")
    parser.add_argument("-k", "--insecure", action="store_true", help="believe any certificate")
    parser.add_argument("--cacert", default="", metavar="FILE", help="believe certificates of this authority")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the figure to a file")
    parser.add_argument("-n", "--namespace", help="names resolve as in a Pod of it (else the kubeconfig's)")


def run_load(arguments: argparse.Namespace) -> int:
    from kitlib.traffic.load.run import Load
    from kitlib.traffic.shape import headers_of

    client = cluster_of(arguments).client("kit-load")
    watched = sys.stderr.isatty() and not arguments.json
    try:
        load = Load(client, arguments.url, rps=arguments.rps, seconds=arguments.seconds,
                    connections=arguments.connections, keepalive=arguments.keepalive,
                    namespace=namespace_of(arguments), headers=headers_of(arguments.header),
                    method=arguments.request, data=arguments.data, insecure=arguments.insecure,
                    cacert=arguments.cacert,
                    timeout=arguments.timeout, tell=_progress if watched else None)
        with load:
            try:
                load.wait()
            except KeyboardInterrupt:  # what was measured until now is worth showing
                load.stop()
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    report = load.report()
    if watched:
        print("\r\x1b[K", end="", file=sys.stderr)
    if arguments.svg:
        from kitlib.views.load_svg import render

        arguments.svg.write_text(render(report), encoding="utf-8")
    if arguments.json:
        print_json(report.json())
    else:
        print(report)
        if arguments.svg:
            print(f"\nwrote {arguments.svg}")
    return 0 if report.ok else EXIT_FAILED


def _progress(report: Report) -> None:
    print(f"\r\x1b[K{report.line()}", end="", file=sys.stderr, flush=True)

