"""A packet's walk through a node's rules, drawn from what the rules really say.

    ┌────────┐    ┌─ prerouting · nat   where to? ──────────┐        ┌───────────┐
    │ source │ ─▶ │ ①PREROUTING ─▶ ②KUBE-SERVICES ─▶ ③KUBE…│ ─ 33 % │ Pod web-a │
    └────────┘    └─────────────────────────────────────────┘        ├───────────┤
                  ┌─ forward · filter   may it pass? ───────┐ ═ 33 % │ Pod web-b │  the chosen one
                  └─────────────────────────────────────────┘        └───────────┘

Lanes are places in the kernel, boxes are chains (a slanted box is a set, a map or a virtual server), numbers are the
steps, told in words with their rules below.  Like all figures: theme.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from kitlib.views import theme
from kitlib.views.walk_text import ending, heading, percent, source_note, stages

Data = Mapping[str, Any]

WIDTH, TOP = 980, 58
LANE_X, LANE_WIDTH, COLUMNS = 176, 540, 3
BOX_WIDTH, BOX_HEIGHT, GAP_X, ROW_HEIGHT = 162, 34, 15, 56
END_X, END_WIDTH, END_HEIGHT = 762, 204, 46
MAX_ENDS = 12
HEAD = 44   # of a lane: its title, and room for the numbers on its first boxes
SPINE_X = 740
STEP_HEIGHT = 36
LETTERS = 148   # of a rule that fit in a row


@dataclass(slots=True)
class _Box:
    name: str
    look_up: bool
    numbers: list[int] = field(default_factory=list)
    x: float = 0
    y: float = 0


@dataclass(slots=True)
class _Lane:
    title: str
    question: str
    role: str
    boxes: list[_Box]
    verdicts: str
    y: float = 0

    @property
    def height(self) -> float:
        rows = -(-len(self.boxes) // COLUMNS)
        return HEAD + ROW_HEIGHT * rows - 6


def render(walk: Data, *, words: bool = True) -> str:
    """The figure as a self-contained SVG.  words: the steps with their rules below it."""
    lanes = _lanes(walk)
    bottom = max(lanes[-1].y + lanes[-1].height if lanes else TOP + 90, TOP + _ends_height(walk)) + 16
    steps = walk["steps"]
    height = bottom + 40 + (STEP_HEIGHT * len(steps) + 12 if words else 0)
    body = [theme.text(20, 28, heading(walk), size=15, weight=700),
            theme.text(20, 46, source_note(walk), size=12, cls="dim"),
            *_source(walk, lanes), *_ends(walk, lanes)]
    for index, lane in enumerate(lanes):
        body += _lane(lane, lanes[index + 1] if index + 1 < len(lanes) else None)
    body.append(theme.text(20, bottom + 18, ending(walk), size=14, weight=700))
    if words:
        body += _words(walk, bottom)
    story = " ".join(f"{s['number']}. {s['chain']}: {s['verdict']}." for s in steps)
    return theme.svg(WIDTH, height, "".join(body), title=heading(walk), description=f"{story} {ending(walk)}")


def _role(place: str, question: str) -> str:
    if "ipvs" in place or "proxy" in place.split(" · ", maxsplit=1)[0] or place.startswith("process"):
        return "balancer"
    return "filter" if question.startswith("may") else "nat"


def _lanes(walk: Data) -> list[_Lane]:
    lanes: list[_Lane] = []
    y: float = TOP
    for place, question, steps in stages(walk):
        boxes: list[_Box] = []
        for step in steps:
            _put(boxes, step["chain"], False, step["number"])
            if step["looks_up"] and step["looks_up"] not in step["chain"]:
                _put(boxes, step["looks_up"], True, step["number"])
        lane = _Lane(place, question, _role(place, question), boxes, " ".join(step["verdict"] for step in steps), y)
        for index, box in enumerate(boxes):
            row, column = divmod(index, COLUMNS)
            box.x, box.y = LANE_X + 14 + column * (BOX_WIDTH + GAP_X), y + HEAD + row * ROW_HEIGHT
        y += lane.height + 14
        lanes.append(lane)
    return lanes


def _put(boxes: list[_Box], name: str, look_up: bool, number: int) -> None:
    """A chain that is come back to keeps its box."""
    for box in boxes:
        if (box.name, box.look_up) == (name, look_up):
            box.numbers.append(number)
            return
    boxes.append(_Box(name, look_up, [number]))


def _lane(lane: _Lane, following: _Lane | None) -> list[str]:
    colour = theme.colour(lane.role)
    parts = [f'<rect x="{LANE_X}" y="{lane.y:g}" width="{LANE_WIDTH}" height="{lane.height:g}" rx="10" fill="none" '
             f'stroke="{colour}" stroke-width="2"/>',
             theme.text(LANE_X + 14, lane.y + 20, lane.title, size=13, weight=700),
             theme.text(LANE_X + LANE_WIDTH - 14, lane.y + 20, lane.question, size=12, anchor="end", cls="dim")]
    for index, box in enumerate(lane.boxes):
        parts.append(_box(box, colour))
        if index + 1 < len(lane.boxes) and (index + 1) % COLUMNS:
            x, y = box.x + BOX_WIDTH, box.y + BOX_HEIGHT / 2
            parts.append(_line(x, y, x + GAP_X, y, colour, head=True))
    if following:
        x, y = LANE_X + LANE_WIDTH / 2, lane.y + lane.height
        parts.append(_line(x, y, x, following.y, theme.colour(following.role), head=True))
    return parts


def _box(box: _Box, colour: str) -> str:
    x, y = box.x, box.y
    if box.look_up:
        shape = (f'<path d="M {x + 8:g} {y:g} H {x + BOX_WIDTH:g} L {x + BOX_WIDTH - 8:g} {y + BOX_HEIGHT} H {x:g} Z" '
                 f'class="box" stroke="{colour}" stroke-dasharray="4 3"/>')
    else:
        shape = theme.box(x, y, BOX_WIDTH, BOX_HEIGHT, stroke=colour, radius=6)
    label = theme.shorten(("@" if box.look_up else "") + box.name, 22)
    badges = "".join(theme.badge(x + 10 + 21 * index, y - 3, number, colour)
                     for index, number in enumerate(box.numbers[:7]))
    return (f"<g><title>{escape(box.name)}</title>{shape}"
            + theme.text(x + BOX_WIDTH / 2, y + 23, label, size=11, anchor="middle", cls="mono") + f"{badges}</g>")


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, head: bool = False, dashed: bool = False,
          thick: float = 2) -> str:
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    line = (f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}" '
            f'stroke-width="{thick:g}"{dash}/>')
    if not head:
        return line
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5 or 1
    dx, dy = (x2 - x1) / length * 8, (y2 - y1) / length * 8
    points = [(x2, y2), (x2 - dx - dy / 2, y2 - dy + dx / 2), (x2 - dx + dy / 2, y2 - dy - dx / 2)]
    return line + f'<polygon points="{" ".join(f"{x:g},{y:g}" for x, y in points)}" fill="{colour}"/>'


def _elbow(start: tuple[float, float], y: float, colour: str) -> str:
    """From the last lane to where the packet ends, round the corner."""
    x1, y1 = start
    return (f'<path d="M {x1:g} {y1:g} H {SPINE_X} V {y:g}" fill="none" stroke="{colour}" stroke-width="3"/>'
            + _line(SPINE_X, y, END_X - 2, y, colour, head=True, thick=3))


def _source(walk: Data, lanes: list[_Lane]) -> list[str]:
    packet, colour = walk["packet"], theme.colour("client")
    kind, _, name = (packet["source_name"] or "source").partition(" ")
    parts = [theme.box(20, TOP, 132, 66, stroke=colour, thick=2.5),
             theme.text(30, TOP + 21, kind, size=13, weight=700),
             theme.text(30, TOP + 39, theme.shorten(name, 18), size=12),
             theme.text(30, TOP + 56, packet["source"], size=11, cls="mono dim")]
    if lanes:
        parts.append(_line(152, TOP + 33, LANE_X, TOP + 33, colour, head=True))
    return parts


def _ends_height(walk: Data) -> float:
    return (min(len(walk["choices"]), MAX_ENDS) or 1) * (END_HEIGHT + 12)


def _shown(walk: Data) -> list[Data]:
    """At most MAX_ENDS endpoints, the chosen one among them."""
    choices = list(walk["choices"])
    first = choices[:MAX_ENDS]
    chosen = [choice for choice in choices[MAX_ENDS:] if choice["chosen"]]
    return first[:MAX_ENDS - len(chosen)] + chosen


def _ends(walk: Data, lanes: list[_Lane]) -> list[str]:
    """The endpoints that chance allows; or what became of a packet that reaches none."""
    last = lanes[-1] if lanes else None
    start: tuple[float, float] = (LANE_X + LANE_WIDTH, last.y + last.height / 2) if last else (152, TOP + 33)
    if not walk["endpoint"]:
        return _dead_end(walk, start)
    parts, shown = [], _shown(walk)
    fan = next((lane for lane in lanes if "DNAT" in lane.verdicts or lane.role == "balancer"), None)
    fan_x, fan_y = (LANE_X + LANE_WIDTH, fan.y + fan.height / 2) if fan else start
    for index, choice in enumerate(shown):
        y = TOP + index * (END_HEIGHT + 12)
        chosen, middle = choice["chosen"], y + END_HEIGHT / 2
        colour = theme.colour("Running") if chosen else theme.colour("gone")
        if not chosen:
            parts.append(_line(fan_x, fan_y, END_X, middle, colour, dashed=True, thick=1))
        name = choice["pod"].rpartition("/")[2] or choice["address"]
        parts += [theme.box(END_X, y, END_WIDTH, END_HEIGHT, stroke=colour, thick=3 if chosen else 1),
                  theme.text(END_X + 10, y + 19, theme.shorten(name, 16 if chosen else 17), size=12,
                             weight=700 if chosen else 400),
                  theme.text(END_X + END_WIDTH - 10, y + 19, percent(choice["probability"]), size=12, anchor="end",
                             weight=700),
                  theme.text(END_X + 10, y + 36, theme.shorten(f"{choice['address']} {choice['node']}", 29), size=11,
                             cls="mono dim")]
    for index, choice in enumerate(shown):
        if choice["chosen"]:
            middle = TOP + index * (END_HEIGHT + 12) + END_HEIGHT / 2
            parts.append(_elbow(start, middle, theme.colour("Running")))
    if len(walk["choices"]) > len(shown):
        y = TOP + len(shown) * (END_HEIGHT + 12) + 6
        parts.append(theme.text(END_X + 10, y, f"and {len(walk['choices']) - len(shown)} more endpoints", cls="dim"))
    return parts


def _dead_end(walk: Data, start: tuple[float, float]) -> list[str]:
    outcome = walk["outcome"]
    colour = theme.colour(outcome)
    words = {"REJECT": "refused, and told so", "DROP": "dropped in silence"}.get(outcome, "goes its own way")
    return [_elbow(start, TOP + END_HEIGHT / 2, colour),
            theme.box(END_X, TOP, END_WIDTH, END_HEIGHT, stroke=colour, thick=3),
            theme.text(END_X + 10, TOP + 19, outcome, size=13, weight=700, fill=colour),
            theme.text(END_X + 10, TOP + 36, words, size=12)]


def _words(walk: Data, y: float) -> list[str]:
    parts: list[str] = []
    for index, step in enumerate(walk["steps"]):
        line = y + 40 + STEP_HEIGHT * index + 12
        question = next(q for _, q, steps in stages(walk) if step in steps)
        colour = theme.colour(_role(f"{step['hook']} · {step['table']}", question))
        parts += [theme.badge(30, line - 4, step["number"], colour),
                  theme.text(48, line, theme.shorten(step["chain"], 44), size=12, weight=600, cls="mono"),
                  theme.text(400, line, theme.shorten(step["verdict"], 62), size=13),
                  theme.text(WIDTH - 20, line, step["hook"], size=11, anchor="end", cls="dim"),
                  f"<g><title>{escape(step['rule'])}</title>"
                  + theme.text(48, line + 16, theme.shorten(step["rule"], LETTERS), size=10, cls="mono dim") + "</g>"]
    return parts
