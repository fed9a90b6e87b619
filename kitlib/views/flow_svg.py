"""The talk's figure (pages 104 and 106 to 113), drawn from what really happened.

    ┌────────┐  ①   ┌─────────────────────────────┐      ┌────────────┐
    │ client │ ───▶ │        kube-apiserver       │ ◀──▶ │ etcd       │
    └────────┘      └─────────────────────────────┘      │  objects   │
                        ▲ ②          ▲ ③        ▲ ④ ⑥    └────────────┘
              ┌─────────┴───────┐ ┌──┴──────┐ ┌─┴──────────────────────┐
              │ controller      │ │scheduler│ │ kubelet ─⑤─▶ runtime   │
              │ observe diff act│ │         │ │    ● ● ●  the Pods     │
              └─────────────────┘ └─────────┘ └────────────────────────┘

Above, the architecture with the numbers of the steps on its arrows; below, the steps in words, with
revisions and times.  The newest step glows, so a live figure shows where the story is.
"""

from __future__ import annotations

from collections import defaultdict
from html import escape
from typing import Any

from kitlib.trace.flow import Flow, Step
from kitlib.views import theme
from kitlib.views.flow_text import revisions, woken

WIDTH = 980
TOP = 430  # height of the architecture
ROW = 22
MAX_ROWS = 24
MAX_CARDS = 6
MAX_DOTS = 8  # Pods drawn a node
STORE_X = 706


def render(flow: Flow, rows_shown: int = MAX_ROWS) -> str:
    """The figure as a self-contained SVG.  rows_shown: how many of the newest steps are told in words."""
    rows = flow.steps[-rows_shown:]
    height = TOP + 44 + ROW * max(1, len(rows)) + 14
    body = [_architecture(flow), *_badges(flow), *_store(flow), *_pods(flow), *_rows(flow, rows)]
    story = " ".join(f"{step.number}. {step.actor} {step.text}." for step in flow.steps) or "Nothing happened yet."
    return theme.svg(WIDTH, height, "".join(body), title=f"What happened to {flow.target}", description=story)


def _architecture(flow: Flow) -> str:
    clients = sorted({step.actor for step in flow.steps if step.lane == "client"})
    controllers = sorted({step.actor.partition("/")[2] for step in flow.steps
                          if step.lane == "kube-controller-manager" and "/" in step.actor})
    c = theme.colour
    parts = [
        _actor(20, 40, (150, 74), "client", ", ".join(clients) or "you"),
        _actor(230, 40, (420, 74), "kube-apiserver", "the only door to the store"),
        _actor(20, 220, (250, 180), "kube-controller-manager", ", ".join(controllers) or "controllers"),
        _actor(290, 220, (150, 180), "kube-scheduler", "which node?"),
        _actor(460, 220, (500, 180), "kubelet", "makes it so, on its own node"),
        _arrow(170, 77, 230, 77, c("client")), _arrow(650, 77, STORE_X, 77, c("kube-apiserver"), both=True),
        _arrow(250, 220, 250, 114, c("kube-controller-manager"), both=True),
        _arrow(365, 220, 365, 114, c("kube-scheduler"), both=True),
        _arrow(560, 220, 560, 114, c("kubelet"), both=True),
    ]
    for name, x in (("Observe", 80), ("Diff", 145), ("Act", 210)):  # the talk's loop
        parts.append(f'<rect x="{x - 29}" y="296" width="58" height="26" rx="13" fill="none" '
                     f'stroke="{c("kube-controller-manager")}"/>' + theme.text(x, 313, name, size=12, anchor="middle"))
    parts.append(theme.text(145, 350, "control loop", size=12, anchor="middle", cls="dim"))
    parts.append('<path d="M 210 326 C 210 345, 80 345, 80 326" class="line" stroke-dasharray="3 3"/>')
    return "".join(parts)


def _actor(x: float, y: float, size: tuple[float, float], role: str, note: str) -> str:
    width, height = size
    limit = int(width / 7)
    return (theme.box(x, y, width, height, stroke=theme.colour(role), thick=2.5)
            + theme.text(x + 12, y + 24, role, size=15, weight=700)
            + theme.text(x + 12, y + 43, theme.shorten(note, limit), size=12, cls="dim"))


def _arrow(x1: float, y1: float, x2: float, y2: float, stroke: str, *, both: bool = False) -> str:
    def head(x: float, y: float, dx: float, dy: float) -> str:
        return (f'<path d="M {x:g} {y:g} l {-9 * dx - 5 * dy:g} {-9 * dy - 5 * dx:g} l {10 * dy:g} {10 * dx:g} Z" '
                f'fill="{stroke}"/>')

    length = abs(x2 - x1) + abs(y2 - y1)  # arrows are horizontal or vertical
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    line = f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{stroke}" stroke-width="2"/>'
    return line + head(x2, y2, dx, dy) + (head(x1, y1, -dx, -dy) if both else "")


# Where the numbers of a lane's steps stand: x, y of the first, and how many fit in a row.
PLACES = {"client": (190, 30, 3), "kube-controller-manager": (70, 140, 8), "kube-scheduler": (315, 140, 7),
          "kubelet": (500, 140, 9), "runtime": (640, 282, 13)}


def _badges(flow: Flow) -> list[str]:
    lanes: dict[str, list[Step]] = defaultdict(list)
    for step in flow.steps:
        lanes[step.lane].append(step)
    newest = flow.steps[-1].number if flow.steps else 0
    parts = []
    for lane, steps in lanes.items():
        if lane not in PLACES:
            continue
        x, y, fit = PLACES[lane]
        rows = 2 if lane not in ("client", "runtime") else 1
        shown = steps[-fit * rows:]
        for index, step in enumerate(shown):
            parts.append(theme.badge(x + 24 * (index % fit), y + 26 * (index // fit), step.number, theme.colour(lane),
                                     strong=step.number == newest))
    return parts


def _store(flow: Flow) -> list[str]:
    """etcd as a cylinder with the story's objects in it, the newest last."""
    x, y, width, height = STORE_X, 26, 254, 178
    stroke = theme.colour("etcd")
    look = f'class="box" stroke="{stroke}" stroke-width="2.5"/>'
    parts = [f'<path d="M {x} {y + 12} v {height - 24} a {width / 2} 12 0 0 0 {width} 0 v -{height - 24}" {look}',
             f'<ellipse cx="{x + width / 2}" cy="{y + 12}" rx="{width / 2}" ry="12" {look}',
             theme.text(x + width / 2, y + 17, "etcd: the objects", size=13, anchor="middle", weight=700)]
    living = [(title, state) for title, state in flow.objects.items() if state.get("exists", True)]
    shown = living[:MAX_CARDS]
    for index, (title, state) in enumerate(shown):
        top = y + 46 + 20 * index
        parts.append(theme.text(x + 12, top, theme.shorten(title, 27), size=12, cls="mono"))
        parts.append(theme.text(x + width - 10, top, f"@{state['revision']}", size=11, anchor="end", cls="mono dim"))
    if len(living) > len(shown):
        parts.append(theme.text(x + 12, y + 46 + 20 * len(shown), f"… and {len(living) - len(shown)} more", size=12,
                                cls="dim"))
    return parts


def _pods(flow: Flow) -> list[str]:
    """Each node with its Pods: a disc, its colour and letter the phase."""
    nodes: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for title, state in flow.objects.items():
        if title.startswith("Pod/") and state.get("exists", True) and state.get("node"):
            nodes[state["node"]].append((title[4:], state))
    parts = [theme.text(476, 286, "container runtime", size=13, weight=700, fill=theme.colour("runtime"))]
    shown = sorted(nodes)[:4]
    for index, node in enumerate(shown):
        x, y, width = 476 + 120 * index, 300, 112
        parts.append(theme.box(x, y, width, 88, stroke=theme.colour("kubelet"), radius=6))
        parts.append(theme.text(x + 8, y + 17, theme.shorten(node, 15), size=12))
        for number, (name, state) in enumerate(nodes[node][:MAX_DOTS]):
            phase = "gone" if state.get("deleting") else state.get("phase", "Pending")
            cx, cy = x + 16 + 26 * (number % 4), y + 36 + 25 * (number // 4)
            letter = theme.text(cx, cy + 4, phase[0].upper(), size=11, anchor="middle", weight=700, fill="#ffffff")
            parts.append(f'<g><title>{escape(name)}: {phase}</title><circle cx="{cx}" cy="{cy}" r="10" '
                         f'fill="{theme.colour(phase)}"/>{letter}</g>')
        if len(nodes[node]) > MAX_DOTS:
            count = f"{len(nodes[node])} Pods"
            parts.append(theme.text(x + width - 6, y + 17, count, size=11, anchor="end", cls="dim"))
    if len(nodes) > len(shown):
        more = f"and {len(nodes) - len(shown)} more nodes"
        parts.append(theme.text(952, 286, more, size=11, anchor="end", cls="dim"))
    return parts


def _rows(flow: Flow, rows: tuple[Step, ...]) -> list[str]:
    y = TOP + 26
    note = "  (rebuilt from managedFields and Events: no causes)" if flow.rebuilt else ""
    parts = [theme.text(20, y, f"What happened to {flow.target}{note}", size=15, weight=700)]
    hidden = len(flow.steps) - len(rows)
    if hidden and len(rows) > 1:
        parts.append(theme.text(WIDTH - 20, y, f"{hidden} earlier steps not shown", size=12, anchor="end", cls="dim"))
    if not rows:
        parts.append(theme.text(20, y + ROW, "Nothing yet. The story starts when somebody creates it.", cls="dim"))
    for index, step in enumerate(rows):
        line = y + ROW * (index + 1) + 2
        parts.append(theme.badge(30, line - 4, step.number, theme.colour(step.lane)))
        parts.append(theme.text(104, line, f"{step.at:.3f} s", size=12, anchor="end", cls="mono dim"))
        parts.append(theme.text(116, line, theme.shorten(step.actor, 36), size=12, weight=600))
        parts.append(theme.text(390, line, theme.shorten(step.text, 52), size=13))
        parts.append(theme.text(WIDTH - 20, line, " ".join(p for p in (revisions(step), woken(step)) if p), size=11,
                                anchor="end", cls="mono dim"))
    return parts
