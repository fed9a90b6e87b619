"""The picture of a Service: ways in on the left, Pods by node on the right, arrows only where connections go.

A solid arrow leads to a Pod that gets connections; a dashed line that ends in a cross to one that does not, and words
beside it say why.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from kitlib.views.theme import box, colour, shorten, svg, text

WIDTH = 900
LEFT, MIDDLE, RIGHT = 12, 330, 580
WAY_WIDTH, SERVICE_WIDTH, POD_WIDTH = 262, 170, 300
POD_HEIGHT, GAP, NODE_HEAD = 40, 8, 26
TOP = 46
SOLID = frozenset(("ready", "leaving"))


def render(found: dict[str, Any]) -> str:
    """found: what service_map.describe makes."""
    nodes = [(name, list(pods)) for name, pods in groupby(found["pods"], key=lambda pod: pod["node"])]
    right = sum(NODE_HEAD + len(pods) * (POD_HEIGHT + GAP) + 2 * GAP for _, pods in nodes) or 80
    left = len(found["ways"]) * 50
    height = TOP + max(right, left, 130) + 16
    centre = TOP + (height - TOP - 16) / 2
    body = text(LEFT, 26, "ways in", size=13, cls="dim") + text(RIGHT, 26, "Pods, by node", size=13, cls="dim")
    body += _ways(found, centre) + _service(found, centre)
    body += _target(found, centre) if not nodes else _nodes(nodes, centre, height)
    return svg(WIDTH, height, body, title=f"Service {found['name']}", description=_words(found))


def _line(x1: float, y1: float, x2: float, y2: float, *, dashed: bool = False) -> str:
    """A curve that arrives level, with a head; or a dashed one that ends in a cross."""
    bend, end = (x1 + x2) / 2, x2 - (14 if dashed else 7)
    style = ' stroke-dasharray="5 5"' if dashed else ""
    head = (text(x2 - 8, y2 + 5, "✗", size=15, anchor="middle", weight=700, fill=colour("Failed")) if dashed else
            f'<path d="M{x2 - 8:g},{y2 - 4.5:g} L{x2:g},{y2:g} L{x2 - 8:g},{y2 + 4.5:g} z" '
            'style="fill:var(--kit-line)"/>')
    return (f'<path d="M{x1:g},{y1:g} C{bend:g},{y1:g} {bend:g},{y2:g} {end:g},{y2:g}" class="line" '
            f'stroke-width="1.6"{style}/>' + head)


def _ways(found: dict[str, Any], centre: float) -> str:
    body, y = "", centre - len(found["ways"]) * 25
    for way in found["ways"]:
        body += box(LEFT, y + 3, WAY_WIDTH, 44, stroke=colour("client"))
        body += text(LEFT + 10, y + 20, way["kind"], size=11, cls="dim")
        body += text(LEFT + 10, y + 38, shorten(way["address"], 36), size=12, cls="mono")
        body += _line(LEFT + WAY_WIDTH, y + 25, MIDDLE, centre)
        y += 50
    return body


def _service(found: dict[str, Any], centre: float) -> str:
    lines = [found["type"], *found["ports"][:2], *found["policies"]]
    lines += [found["selector"]] if found["selector"] else []
    height = 40 + 18 * len(lines)
    y = centre - height / 2
    body = box(MIDDLE, y, SERVICE_WIDTH, height, stroke=colour("L4"), thick=2.5)
    body += text(MIDDLE + SERVICE_WIDTH / 2, y + 24, shorten(found["name"], 20), size=15, anchor="middle", weight=700)
    for number, line in enumerate(lines):
        body += text(MIDDLE + SERVICE_WIDTH / 2, y + 44 + 18 * number, shorten(line, 26), size=12, anchor="middle",
                     cls="mono" if number else "dim")
    return body


def _target(found: dict[str, Any], centre: float) -> str:
    """No Pods: an alias, or nobody."""
    start = MIDDLE + SERVICE_WIDTH
    if found["external_name"]:
        return (_line(start, centre, RIGHT, centre) + box(RIGHT, centre - 24, POD_WIDTH, 48, stroke=colour("client"))
                + text(RIGHT + 12, centre - 6, "another name, asked for next", size=11, cls="dim")
                + text(RIGHT + 12, centre + 14, shorten(found["external_name"], 40), size=12, cls="mono"))
    return (_line(start, centre, RIGHT - 40, centre, dashed=True)
            + text(RIGHT - 30, centre - 2, "no endpoints:", size=13, weight=700, fill=colour("Failed"))
            + text(RIGHT - 30, centre + 16, "no Pod matches the selector; connections are refused", size=12, cls="dim"))


def _nodes(nodes: list[tuple[str, list[dict[str, str]]]], centre: float, height: float) -> str:
    whole = sum(NODE_HEAD + len(pods) * (POD_HEIGHT + GAP) + 2 * GAP for _, pods in nodes)
    body, y = "", TOP + (height - TOP - 16 - whole) / 2
    for name, pods in nodes:
        tall = NODE_HEAD + len(pods) * (POD_HEIGHT + GAP)
        body += (f'<rect x="{RIGHT - 8}" y="{y:g}" width="{POD_WIDTH + 16}" height="{tall:g}" rx="8" class="line" '
                 'stroke-width="1"/>') + text(RIGHT, y + 18, name or "on no node of this cluster", size=12, cls="dim")
        for number, pod in enumerate(pods):
            top = y + NODE_HEAD + number * (POD_HEIGHT + GAP)
            good = pod["state"] in SOLID
            stroke = colour("Running" if pod["state"] == "ready" else "Pending" if good else "gone")
            body += box(RIGHT, top, POD_WIDTH, POD_HEIGHT, stroke=stroke)
            body += text(RIGHT + 10, top + 17, shorten(pod["name"] or "(no Pod)", 24), size=12, weight=600)
            body += text(RIGHT + 10, top + 33, pod["address"], size=11, cls="mono dim")
            body += text(RIGHT + POD_WIDTH - 10, top + 25, pod["state"], size=12, anchor="end", weight=600, fill=stroke)
            body += _line(MIDDLE + SERVICE_WIDTH, centre, RIGHT, top + POD_HEIGHT / 2, dashed=not good)
        y += tall + 2 * GAP
    return body


def _words(found: dict[str, Any]) -> str:
    """The same for those who cannot see it."""
    ways = "; ".join(f"{way['kind']} {way['address']}" for way in found["ways"])
    if found["external_name"]:
        return f"Service {found['name']} is another name for {found['external_name']}. Ways in: {ways}."
    pods = "; ".join(f"{pod['name']} on {pod['node']}: {pod['state']}" for pod in found["pods"])
    return (f"Service {found['name']}, {found['type']}. Ways in: {ways}. "
            f"Pods: {pods or 'none, connections are refused'}.")
