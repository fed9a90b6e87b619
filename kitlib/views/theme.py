"""One visual language for all figures: the same colour means the same thing everywhere.

The palette is Okabe and Ito's (https://jfly.uni-koeln.de/color/), which colour-blind readers can tell
apart; every colour is doubled by a word or a shape.  Figures follow JupyterLab's theme, or the
reader's preference where there is no JupyterLab.
"""

from __future__ import annotations

from html import escape

# Roles, not hues: who acts, and how a Pod is.
COLOURS = {
    "client": "#56b4e9", "kube-apiserver": "#0072b2", "etcd": "#999999", "kube-controller-manager": "#e69f00",
    "kube-scheduler": "#cc79a7", "kubelet": "#009e73", "runtime": "#d55e00",
    "L4": "#0072b2", "L7": "#cc79a7",
    "nat": "#0072b2", "filter": "#e69f00", "balancer": "#cc79a7", "REJECT": "#d55e00", "DROP": "#d55e00",
    "Pending": "#e69f00", "Running": "#009e73", "Succeeded": "#56b4e9", "Failed": "#d55e00", "gone": "#999999",
    "set": "#0072b2", "put back": "#e69f00", "removed": "#d55e00", "kept": "#009e73", "same": "#999999",
    "default": "#cc79a7", "shared": "#cc79a7",
    "ran": "#e69f00", "cached": "#009e73", "running": "#56b4e9", "failed": "#d55e00", "stopped": "#999999",
    "noted": "#999999", "skipped": "#999999", "waiting": "#999999",
    "broke": "#d55e00", "follows": "#e69f00", "new": "#56b4e9",
    "added": "#009e73", "changed": "#e69f00", "layer": "#0072b2", "read-write": "#d55e00", "hidden": "#999999",
}

STYLE = """
.kit { --kit-fg: #1a1a2e; --kit-bg: #ffffff; --kit-soft: #f3f5f9; --kit-line: #8a93a6; --kit-dim: #59627a;
  font-family: system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--kit-fg); }
@media (prefers-color-scheme: dark) { :root:not([data-jp-theme-light]) .kit, .kit:root {
  --kit-fg: #eceff4; --kit-bg: #14161c; --kit-soft: #23262f; --kit-line: #7b8496; --kit-dim: #aab2c5; } }
[data-jp-theme-light="false"] .kit {
  --kit-fg: #eceff4; --kit-bg: #14161c; --kit-soft: #23262f; --kit-line: #7b8496; --kit-dim: #aab2c5; }
.kit text { fill: var(--kit-fg); } .kit .dim { fill: var(--kit-dim); } .kit .box { fill: var(--kit-soft); }
.kit .bg { fill: var(--kit-bg); } .kit .line { stroke: var(--kit-line); fill: none; }
.kit .mono { font-family: ui-monospace, "DejaVu Sans Mono", monospace; }
"""


def colour(role: str) -> str:
    return COLOURS.get(role, "#59627a")


def text(x: float, y: float, content: str, *, size: int = 13, anchor: str = "start", weight: int = 400,
         cls: str = "", fill: str = "") -> str:
    """One line of SVG text, escaped."""
    style = f' style="fill:{fill}"' if fill else ""
    return (f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
            f'class="{cls}"{style}>{escape(content)}</text>')


def box(x: float, y: float, width: float, height: float, *, stroke: str, thick: float = 1.5, radius: float = 8) -> str:
    return (f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" class="box" '
            f'stroke="{stroke}" stroke-width="{thick:g}"/>')


def badge(x: float, y: float, number: int, fill: str, *, strong: bool = False) -> str:
    """A step's number in a disc."""
    ring = ' stroke="#f0e442" stroke-width="4"' if strong else ""
    return (f'<circle cx="{x:g}" cy="{y:g}" r="10" fill="{fill}"{ring}/>'
            f'<text x="{x:g}" y="{y + 4:g}" font-size="11" text-anchor="middle" font-weight="700" '
            f'style="fill:#ffffff">{number}</text>')


def svg(width: float, height: float, body: str, *, title: str, description: str) -> str:
    """A self-contained SVG with its alternative text; it needs nothing from the page around it."""
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="kit" viewBox="0 0 {width:g} {height:g}" role="img" '
            f'width="100%" style="max-width:{width:g}px">'
            f"<title>{escape(title)}</title><desc>{escape(description)}</desc><style>{STYLE}</style>"
            f'<rect width="100%" height="100%" class="bg"/>{body}</svg>')


def shorten(content: str, limit: int) -> str:
    """At most `limit` characters; the middle goes, since names differ at their ends."""
    if len(content) <= limit:
        return content
    keep = limit - 1
    return content[: keep - keep // 2] + "…" + content[len(content) - keep // 2:]
