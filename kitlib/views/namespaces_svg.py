"""Who shares which namespace, drawn: a column for each process, a row for each kind, a bar as wide as what is shared.

               notebook        web           helper
    user    ( the machine's )  (  4026532326, both   )
    uts     ( the machine's )  ( 4026532327 )( 4026532401 )
    net     (     4026531833: all three share it          )

Driven by the numbers in /proc/PID/ns of real processes.  A bar that the first column is part of is grey; others have
the colour of their first process, and say in words who is in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from kitlib.views import theme
from kitlib.views.grid import Cell, Column, Grid
from kitlib.views.grid import text as as_text

WIDTH, NAMES, ROW, TOP = 980, 236, 46, 84
_COLOURS = ("same", "client", "kube-controller-manager", "kubelet", "kube-scheduler", "runtime")
ABOUT = {"user": "users, and what root may do", "mnt": "mounts: which files are where", "pid": "process numbers",
         "uts": "the hostname", "ipc": "shared memory, queues", "net": "addresses, ports, routes",
         "cgroup": "names of cgroups"}  # fmt: skip


@dataclass(frozen=True)
class Member:
    """A process in the picture.  note: a short line below its name; namespaces: kind → number."""

    name: str
    note: str
    namespaces: Mapping[str, int]


def kinds(members: Sequence[Member]) -> list[str]:
    return [kind for kind in ABOUT if any(kind in member.namespaces for member in members)]


def verdict(kind: str, members: Sequence[Member]) -> str:
    """A row in words: `all share it`, `web, helper share one; notebook has its own`."""
    groups: dict[int, list[str]] = {}
    for member in members:
        groups.setdefault(member.namespaces.get(kind, 0), []).append(member.name)
    if len(groups) == 1:
        return "all share it" if len(members) > 1 else members[0].name
    shared = [f"{' and '.join(names)} share one" for names in groups.values() if len(names) > 1]
    alone = [names[0] for names in groups.values() if len(names) == 1]
    own = [f"{', '.join(alone)}: {'its own' if len(alone) == 1 else 'each its own'}"] if alone else []
    return "; ".join([*shared, *own])


def describe(members: Sequence[Member]) -> str:
    """The same as a table in text."""
    rows = tuple((kind, tuple(Cell(str(member.namespaces.get(kind, ""))) for member in members),
                  verdict(kind, members), "") for kind in kinds(members))
    return as_text(Grid(_title(members), tuple(Column(member.name) for member in members), rows))


def render(members: Sequence[Member]) -> str:
    """The picture.  members: the first one is what the others are compared with."""
    rows = kinds(members)
    wide = (WIDTH - NAMES - 20) / max(1, len(members))
    height = TOP + ROW * len(rows) + 34
    parts = [theme.text(20, 28, _title(members), size=16, weight=700)]
    for number, member in enumerate(members):
        x, letters = NAMES + wide * number + wide / 2, int(wide / 8)
        parts.append(f'<rect x="{x - wide / 2 + 4:g}" y="38" width="{wide - 8:g}" height="4" rx="2" '
                     f'fill="{_colour(number)}"/>')
        parts.append(theme.text(x, 58, theme.shorten(member.name, letters), size=14, anchor="middle", weight=700))
        parts.append(theme.text(x, 74, theme.shorten(member.note, int(wide / 6)), size=11, anchor="middle", cls="dim"))
    for number, kind in enumerate(rows):
        y = TOP + ROW * number
        parts.append(theme.text(20, y + 18, kind, size=14, weight=700, cls="mono"))
        parts.append(theme.text(20, y + 34, ABOUT[kind], size=11, cls="dim"))
        parts += _bars(kind, members, y, wide)
    foot = f"dashed: {members[0].name} is in it. A bar over several columns: they share it."
    parts.append(theme.text(20, height - 12, foot, size=12, cls="dim"))
    spoken = ". ".join(f"{kind}, {ABOUT[kind]}: {verdict(kind, members)}" for kind in rows)
    return theme.svg(WIDTH, height, "".join(parts), title=_title(members), description=f"{spoken}.")


def _title(members: Sequence[Member]) -> str:
    return f"Namespaces of {', '.join(member.name for member in members)}"


def _colour(number: int) -> str:
    return theme.colour(_COLOURS[number] if number < len(_COLOURS) else _COLOURS[1 + number % (len(_COLOURS) - 1)])


def _bars(kind: str, members: Sequence[Member], y: float, wide: float) -> list[str]:
    numbers = [member.namespaces.get(kind, 0) for member in members]
    parts = []
    for value, run in groupby(range(len(members)), key=numbers.__getitem__):
        columns = list(run)
        x, width = NAMES + wide * columns[0] + 4, wide * len(columns) - 8
        first = numbers.index(value)
        elsewhere = [members[i].name for i, each in enumerate(numbers) if each == value and i not in columns]
        said = "its own" if len(columns) == 1 else "one for " + ("both" if len(columns) == 2 else f"all {len(columns)}")
        if first == 0 and len(members) > 1:
            said = "" if 0 in columns and len(columns) == 1 and not elsewhere else f"as {members[0].name}" \
                if 0 not in columns else "shared"
        elif elsewhere:
            said = f"with {', '.join(elsewhere)}"
        dash = ' stroke-dasharray="5 4"' if first == 0 else ""
        parts.append(f'<rect x="{x:g}" y="{y + 4:g}" width="{width:g}" height="{ROW - 10}" rx="10" class="box" '
                     f'stroke="{_colour(first)}" stroke-width="{2 if first == 0 else 4}"{dash}/>')
        label = f"{value}" + (f" · {said}" if said else "")
        parts.append(theme.text(x + width / 2, y + 27, theme.shorten(label, int(width / 7)), size=12, anchor="middle",
                                cls="mono"))
    return parts
