"""`kit pause | step | resume CONTROLLER`: a hand on the loop.

    kit pause replicaset        it sees events and queues keys, but does nothing
    kit step replicaset         one turn: woken by what, saw what, decided what, wrote what
    kit resume replicaset
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from kitlib.cli.common import Commands, command, print_json, print_table
from kitlib.cluster.errors import KitError
from kitlib.objects.errors import StatusError


def register(commands: Commands) -> None:
    for verb in ("pause", "step", "resume"):
        parser = command(commands, verb, _runner(verb))
        parser.add_argument("controller", nargs="?", help="its name; without one, all are listed")


def _runner(verb: str) -> Callable[[argparse.Namespace], int | None]:
    def run(arguments: argparse.Namespace) -> int | None:
        return _run(verb, arguments)

    return run


def _run(verb: str, arguments: argparse.Namespace) -> int | None:
    from kitlib.cluster.embedded import EmbeddedCluster
    from kitlib.cluster.find import find
    from kitlib.cluster.notebook import control

    cluster = EmbeddedCluster(find(arguments.name))
    if not arguments.controller:
        _list(cluster.client().transport.request("GET", "/kit/controllers")["controllers"], arguments.json)
        return None
    try:
        answer = control(cluster, arguments.controller, verb)
    except StatusError as error:
        raise KitError(error.message) from error
    if arguments.json:
        print_json(answer)
    elif verb == "step":
        print(describe(answer["record"]))
    else:
        print(f'{answer["controller"]["name"]} is {answer["controller"]["state"]}')
    return None


def _list(controllers: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(controllers)
        return
    rows = [(c["name"], c["resource"], c["state"], c["holder"] or "-", c["queue"]) for c in controllers]
    print_table(("NAME", "RESOURCE", "STATE", "HOLDER", "QUEUE"), rows)


def describe(record: dict[str, Any] | None) -> str:
    """One reconcile in a few lines."""
    if record is None:
        return "nothing to do: the queue is empty"
    woke = record["woke"]
    cause = f"{woke['type']} {woke['resource']} {woke['key']} @{woke['revision']}" if woke else "a look again"
    lines = [f"{record['controller']} {record['key']}", f"  woken by   {cause}", f"  observed   {record['observed']}"]
    for i, action in enumerate(record["actions"] or ["nothing"]):
        lines.append(f"  {'decided' if i == 0 else '':<10} {action}")
    for i, write in enumerate(record["writes"]):
        what = f"{write['verb']} {write['resource']}{'/' + write['subresource'] if write['subresource'] else ''}"
        lines.append(f"  {'wrote' if i == 0 else '':<10} {what} {write['name']} @{write['revision']}")
    if record["error"]:
        lines.append(f"  failed     {record['error']}")
    return "\n".join([*lines, f"  took       {record['seconds'] * 1000:.1f} ms"])
