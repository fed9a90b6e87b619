"""The picture of who may talk to whom.

    ┌─ shop ───────────┐      ┌─ ops ────┐       from \\ to │ web     │ db
    │ client ─────▶ web│ ◀─── │ prober   │       ──────────┼─────────┼────────
    │               ▼  │      └──────────┘       client    │ 8080 ✓✓ │ 6379 ✗✗
    │               db │                         web       │         │ 6379 ✓✓
    └──────────────────┘

Arrows are what is allowed; in the table the first mark is what the policies say, the second what was measured.  A line
under a Pod's name says in which directions it is isolated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kitlib.views import theme

Data = Mapping[str, Any]
MARKS = {True: "✓", False: "✗"}
OPEN, CLOSED, ODD = theme.colour("Running"), theme.colour("Failed"), "#f0e442"
MOST_ARROWS_PODS = 14
POD_WIDTH, POD_HEIGHT, ROW, COLUMN, MARGIN = 170, 40, 66, 330, 24
NAME_WIDTH, LINE = 170, 20


def mark_of(outcome: str) -> str:
    """What an attempt's outcome looks like; nothing if there was none."""
    if not outcome:
        return ""
    return {"connected": "✓", "refused": "✓", "timeout": "✗", "unreachable": "✗"}.get(outcome, "?")


def render(matrix: Data, outcomes: Mapping[int, str], measured: bool, *, caption: str = "") -> str:
    """outcomes: by id of the cell.  caption: what to say instead of the table."""
    pods = matrix["pods"]
    graph, height, width = _graph(matrix) if 0 < len(pods) <= MOST_ARROWS_PODS else ("", 8, 0)
    rows, table_height, table_width = _table(matrix, outcomes, height + 20) if not caption else ("", -20, 0)
    legend, more = _legend(matrix, height + table_height + 44, measured, caption)
    full = max(width, table_width, 900)
    allowed = sum(1 for cell in matrix["cells"] if cell["allowed"])
    description = (f"{len(pods)} Pods in {', '.join(matrix['namespaces'])}; {len(matrix['policies'])} network "
                   f"policies; {allowed} of {len(matrix['cells'])} connections are allowed.")
    return theme.svg(full, height + table_height + 44 + more, graph + rows + legend,
                     title="Who may talk to whom", description=description)


# -- Pods and arrows ----------------------------------------------------------------------------------


def _graph(matrix: Data) -> tuple[str, float, float]:
    places: dict[str, tuple[float, float]] = {}
    boxes, tallest = [], 0
    for column, namespace in enumerate(matrix["namespaces"]):
        own = [pod for pod in matrix["pods"] if pod["namespace"] == namespace]
        x = MARGIN + COLUMN * column
        tallest = max(tallest, len(own))
        for row, pod in enumerate(own):
            places[pod["key"]] = x + 40, 46 + ROW * row
        boxes.append((x, namespace, len(own)))
    parts = [_namespace(x, name, ROW * max(count, 1) + 34) for x, name, count in boxes]
    parts += _arrows(matrix, places)
    parts += [_pod(matrix, pod, *places[pod["key"]]) for pod in matrix["pods"]]
    return "".join(parts), 46 + ROW * max(tallest, 1) + 10, MARGIN + COLUMN * len(boxes) - 40


def _namespace(x: float, name: str, height: float) -> str:
    return (theme.box(x, 12, POD_WIDTH + 80, height, stroke="var(--kit-line)", thick=1)
            + theme.text(x + 12, 32, f"namespace {theme.shorten(name, 28)}", size=12, weight=600))


def _pod(matrix: Data, pod: Data, x: float, y: float) -> str:
    sides = [side for side in ("ingress", "egress") if any(
        pod["key"] in policy["selects"] and policy[side] is not None for policy in matrix["policies"])]
    state = f"isolated: {', '.join(sides)}" if sides else "open"
    return (f'<rect x="{x:g}" y="{y:g}" width="{POD_WIDTH}" height="{POD_HEIGHT}" rx="8" class="bg" '
            f'stroke="{CLOSED if sides else OPEN}" stroke-width="2"{"" if sides else _DASHED}/>'
            + theme.text(x + POD_WIDTH / 2, y + 17, theme.shorten(pod["name"], 22), anchor="middle", weight=600)
            + theme.text(x + POD_WIDTH / 2, y + 32, state, size=11, anchor="middle", cls="dim"))


_DASHED = ' stroke-dasharray="5 3"'


def _arrows(matrix: Data, places: Mapping[str, tuple[float, float]]) -> list[str]:
    """One line for each pair; two heads where both ways are open."""
    allowed = {(cell["from"], cell["to"]) for cell in matrix["cells"] if cell["allowed"]}
    drawn = []
    for source, target in sorted(allowed):
        back = (target, source) in allowed
        if back and source > target:
            continue  # drawn with the other one
        (x1, y1, dx1), (x2, y2, dx2) = _ends(places[source], places[target])
        bow = abs(x2 - x1) / 2 or min(14 + abs(y2 - y1) * 0.16, 62)
        drawn.append(f'<path d="M{x1:g},{y1:g} C{x1 + dx1 * bow:g},{y1:g} {x2 + dx2 * bow:g},{y2:g} '
                     f'{x2 + dx2 * 6:g},{y2:g}" fill="none" stroke="{OPEN}" stroke-width="1.8"/>')
        drawn += [_head_at(x, y, dx) for x, y, dx in ((x2, y2, dx2), *(((x1, y1, dx1),) if back else ()))]
    return drawn


def _head_at(x: float, y: float, out: int) -> str:
    """An arrow's head that touches a Pod; out: to which side of it the line goes away."""
    return f'<path d="M{x:g},{y:g} l{9 * out:g},-4.5 v9 z" fill="{OPEN}"/>'


def _ends(source: tuple[float, float], target: tuple[float, float]) -> list[tuple[float, float, int]]:
    """Where a line leaves one Pod and meets the other, each with the side (1 right, -1 left).

    In one column it is a bow beside it, down on the right and up on the left; ways to and fro lie side by side.
    """
    (x1, y1), (x2, y2) = source, target
    middle = POD_HEIGHT / 2
    if x1 == x2:
        side = 1 if y2 > y1 else -1
        x = x1 + (POD_WIDTH if side > 0 else 0)
        return [(x, y1 + middle + 5 * side, side), (x, y2 + middle - 5 * side, side)]
    side = 1 if x2 > x1 else -1
    shift = middle + 6 * side
    return [(x1 + (POD_WIDTH if side > 0 else 0), y1 + shift, side),
            (x2 + (0 if side > 0 else POD_WIDTH), y2 + shift, -side)]


# -- the table ----------------------------------------------------------------------------------------


def _table(matrix: Data, outcomes: Mapping[int, str], top: float) -> tuple[str, float, float]:
    pods = matrix["pods"]
    by_pair: dict[tuple[str, str], list[Data]] = {}
    for cell in matrix["cells"]:
        by_pair.setdefault((cell["from"], cell["to"]), []).append(cell)
    several = len(matrix["namespaces"]) > 1
    lines = max((len(cells) for cells in by_pair.values()), default=1)
    width, height = 118, LINE * lines + (18 if several else 12)
    left = MARGIN + NAME_WIDTH
    parts = [theme.text(MARGIN, top + 24, "from ↓   to →", size=12, cls="dim")]
    for column, pod in enumerate(pods):
        parts.append(_head(left + width * column + width / 2, top, pod, several, "middle", 15))
    for row, source in enumerate(pods):
        y = top + 40 + height * row
        parts.append(_head(MARGIN, y + height / 2 - 12, source, several, "start", 22))
        for column, target in enumerate(pods):
            parts.append(_cell(left + width * column, y, width, height, by_pair.get((source["key"], target["key"]), ()),
                               outcomes, itself=source is target))
    return "".join(parts), 40 + height * len(pods), left + width * len(pods) + MARGIN


def _head(x: float, y: float, pod: Data, several: bool, anchor: str, letters: int) -> str:
    name = theme.text(x, y + (14 if several else 24), theme.shorten(pod["name"], letters), size=12, anchor=anchor,
                      weight=600)
    return name + (theme.text(x, y + 28, theme.shorten(pod["namespace"], letters), size=10, anchor=anchor, cls="dim")
                   if several else "")


def _cell(x: float, y: float, width: float, height: float, cells: Sequence[Data], outcomes: Mapping[int, str], *,
          itself: bool) -> str:
    frame = (f'<rect x="{x + 2:g}" y="{y + 2:g}" width="{width - 4:g}" height="{height - 4:g}" rx="4" '
             f'class="{"bg" if itself else "box"}"/>')
    if itself:
        return frame + theme.text(x + width / 2, y + height / 2 + 4, "itself", size=11, anchor="middle", cls="dim")
    parts = [frame]
    for line, cell in enumerate(cells):
        outcome = outcomes.get(id(cell), "")
        base = y + (height - LINE * len(cells)) / 2 + 15 + LINE * line
        number = f"{cell['port']}" + ("" if cell["protocol"] == "TCP" else f"/{cell['protocol']}")
        if outcome and (mark_of(outcome) != MARKS[cell["allowed"]]):
            parts.append(f'<rect x="{x + 4:g}" y="{base - 14:g}" width="{width - 8:g}" height="{LINE - 2}" rx="4" '
                         f'fill="none" stroke="{ODD}" stroke-width="3"/>')
        parts.append(theme.text(x + 58, base, number, size=12, anchor="end", cls="mono"))
        parts.append(_mark(x + 68, base, MARKS[cell["allowed"]]))
        if outcome:
            parts.append(_mark(x + 88, base, mark_of(outcome)))
    return "".join(parts)


def _mark(x: float, base: float, mark: str) -> str:
    fill = {"✓": OPEN, "✗": CLOSED}.get(mark, "")
    return theme.text(x, base, mark, size=15, weight=700, fill=fill)


def _legend(matrix: Data, top: float, measured: bool, caption: str) -> tuple[str, float]:
    means = "the first mark is what the policies say, the second was measured by traffic" if measured else \
        "this is what the policies say"
    lines = [caption or f"✓ may connect,  ✗ is dropped;  {means}"]
    lines += [f"policy {theme.shorten(policy['name'], 40)}: {_says(policy)}" for policy in matrix["policies"]] or [
        "no policy: everybody talks to everybody"]
    return ("".join(theme.text(MARGIN, top + 18 * row, theme.shorten(line, 128), size=12, cls="dim")
                    for row, line in enumerate(lines)), 18 * len(lines) + 4)


def _says(policy: Data) -> str:
    sides = [f"{side} {'; '.join(policy[side]) or 'nothing'}" for side in ("ingress", "egress")
             if policy[side] is not None]
    count = len(policy["selects"])
    return f"{count} Pod{'' if count == 1 else 's'}, " + ", ".join(sides)
