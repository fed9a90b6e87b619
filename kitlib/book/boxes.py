"""Containers by hand in a notebook: `kit.box`, and pictures of who shares which namespace.

    web = kit.box("web")                       a process, on its way to being a container
    kit.namespaces(web)                        it, beside this notebook
    kit.namespaces(web, "pod/duo")             and every container of a Pod of the lab
    kit.lsns("uts", "pid")                     all namespaces that can be seen from here
    kit.allowed()                              what this machine allows of a container
    kit.plug(web, db)                          a cable between two boxes
"""

from __future__ import annotations

import os
import re
import textwrap

from kitlib.book import session
from kitlib.checks.inside import run as run_in_pod
from kitlib.checks.world import World
from kitlib.cluster.errors import KitError
from kitlib.runtime.byhand import namespaces as byhand
from kitlib.runtime.byhand.box import Box, plug
from kitlib.runtime.byhand.box import allowed as try_all
from kitlib.runtime.byhand.refused import capabilities, status
from kitlib.views.namespaces_svg import Member, describe, render
from kitlib.views.pod_figures import Drawing

__all__ = ["allowed", "box", "lsns", "namespaces", "plug"]

_LOOK = "cd /proc/self/ns && for kind in " + " ".join(byhand.KINDS) + "; do readlink $kind; done"


def box(name: str) -> Box:
    """Start a box: a process that can be made a container, step by step.  One of that name that was there is ended."""
    return Box(name)


def namespaces(*things: Box | int | str) -> Drawing:
    """Who shares which namespace with whom, beginning with this notebook.

    things: boxes, process numbers, "pod/NAME" (its containers).  Raises KitError in one sentence.
    """
    members = [Member("notebook", f"process {os.getpid()}", byhand.of())]
    for thing in things:
        if isinstance(thing, Box):
            members.append(Member(thing.name, f"process {thing.pid}", thing.namespaces))
        elif isinstance(thing, int):
            members.append(_process(thing))
        else:
            members += _containers(thing)
    return Drawing(members, render(members), describe(members))


def _process(pid: int) -> Member:
    try:
        return Member(status(pid)["Name"], f"process {pid}", byhand.of(pid))
    except OSError as error:
        raise KitError(f"process {pid}: {error.strerror}.") from None


def _containers(target: str) -> list[Member]:
    kind, _, name = target.rpartition("/")
    if kind not in ("", "pod", "po", "pods"):
        raise KitError(f"{target!r} is neither a box nor a Pod: say pod/NAME.")
    world = World(session._cluster().client("kit-view"), session._namespace())
    pod = world.get("pods", name)
    if pod is None:
        raise KitError(f"there is no Pod {name!r} in namespace {world.namespace}.")
    found = []
    for container in pod["spec"]["containers"]:
        seen = run_in_pod(world, name, "sh", "-c", _LOOK, container=container["name"])
        if seen is None:
            raise KitError(f"the container {container['name']} of Pod {name} does not answer: does it run?")
        numbers = {kind: int(number) for kind, number in re.findall(r"(\w+):\[(\d+)\]", seen)}
        found.append(Member(container["name"], f"pod/{name}", numbers))
    return found


def lsns(*kinds: str) -> None:
    """All namespaces of the processes that can be seen from here, as the program lsns lists them."""
    rows = [("NS", "TYPE", "NPROCS", "PID", "COMMAND")]
    for group in byhand.listing(kinds or byhand.KINDS):
        rows.append((str(group.number), group.kind, str(group.processes), str(group.pid), _short(group.command)))
    widths = [max(len(row[at]) for row in rows) for at in range(5)]
    for row in rows:
        print("  ".join(part.ljust(width) for part, width in zip(row, widths, strict=True)).rstrip())


def _short(command: str) -> str:
    """A command line without its program's directory, and not too long."""
    program, _, rest = " ".join(command.split()).partition(" ")
    return f"{os.path.basename(program)} {rest}"[:60]


def allowed() -> None:
    """What this machine allows of a container, each found out by trying, and why not."""
    held = capabilities(int(status()["CapEff"], 16))
    print(f"capabilities: {', '.join(held[:4]) + (f', … ({len(held)})' if len(held) > 4 else '') or 'none'}; "
          f"seccomp filter: {'yes' if status().get('Seccomp') == '2' else 'no'}; user {os.geteuid()}")
    told = set()
    for line in try_all():
        print(f"{'yes' if line.works else 'no ':3}  {line.what}")
        if line.why and line.why not in told:
            told.add(line.why)
            print(textwrap.indent("\n".join(textwrap.wrap(line.why, 100)), "       "))
