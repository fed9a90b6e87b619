"""The talk's stack picture: each instruction, the layer that it made, and what that cost.

    ┌╌ read-write  container web ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┐
    │ 4  COPY nginx.conf /etc/nginx/   ▏                3.5 kB │ ┐
    │ 3  RUN yum install nginx         ██████████▒▒     214 MB │ │ read-only
    │ 1  FROM centos:7                 ██████████       200 MB │ ┘
    └──────────────────────────────────────────────────────────┘

The bar is the layer's size; its hatched part is what later layers hide.  An instruction that changed no file has a thin
line instead of a box.  Draws the JSON form of a report (docs/layers.md).

Source: the talk's pages 34 to 40.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from kitlib.views import theme
from kitlib.views.layers_tree import SIGNS, human

Data = Mapping[str, Any]
WIDTH, TALL, THIN = 980, 50, 26
_TOP, _BAR, _BAR_WIDTH, _LEFT = 64, 560, 230, 24
_RIGHT = WIDTH - 24
_HATCH = ('<pattern id="kit-hidden" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
          '<rect width="6" height="6" fill="#999999"/><rect width="2.5" height="6" class="bg"/></pattern>')


def render(report: Data) -> str:
    """The picture as a self-contained SVG."""
    layers = {layer["number"]: layer for layer in report["layers"]}
    largest = max((layer["size"] for layer in layers.values()), default=0) or 1
    container = report.get("container")
    if container:
        largest = max(largest, container["size"])
    parts, y = [f"<defs>{_HATCH}</defs>", theme.text(_LEFT, 28, report["name"] or report["id"][:19], size=17,
                                                     weight=700)], float(_TOP)
    parts.append(theme.text(_RIGHT, 28, summary(report), size=13, anchor="end", cls="dim"))
    parts.append(theme.text(_LEFT, 50, "the last instruction is on top", size=11, cls="dim"))
    parts.append(theme.text(_BAR, 50, "size of its layer", size=11, cls="dim"))
    if container:
        parts.append(_container(container, y, largest))
        y += TALL + 10
    for step in reversed(report["steps"]):
        layer = layers.get(step["layer"] or 0)
        if layer is None:
            parts.append(_empty(step, y))
            y += THIN
        else:
            parts.append(_layer(layer, step, y, largest, _marks(report, layer)))
            y += TALL
    parts.append(_legend(report, y + 26))
    # Every picture has a pattern of its own: a browser does not draw with one that lies in a hidden part of the page.
    own = f"kit-hidden-{zlib.crc32(''.join(parts).encode()):08x}"
    return theme.svg(WIDTH, y + 44, "".join(parts).replace("kit-hidden", own),
                     title=f"The layers of {report['name'] or report['id']}", description=spoken(report))


def summary(report: Data) -> str:
    return (f"{human(report['size'])} in {len(report['layers'])} layer{'s' * (len(report['layers']) != 1)} · "
            f"efficiency {report['efficiency']:.1%} · {human(report['wastedBytes'])} wasted")


def _marks(report: Data, layer: Data) -> list[tuple[str, str]]:
    """What else is to be said of a layer: (words, role of the theme)."""
    marks = []
    if layer.get("sharedWith"):
        others = layer["sharedWith"]
        marks.append((f"shared with {others[0]}" + (f" and {len(others) - 1} more" if len(others) > 1 else ""),
                      "shared"))
    found = [secret for secret in report["secrets"] if secret["layer"] == layer["number"]]
    if found:
        marks.append((f"secret? {found[0]['path']}", "removed"))
    return marks


def _layer(layer: Data, step: Data, y: float, largest: int, marks: list[tuple[str, str]]) -> str:
    shared = any(role == "shared" for _, role in marks)
    stroke = theme.colour("shared" if shared else "layer")
    counts = counted(layer["changes"])
    x = _LEFT + 52.0
    parts = [f'<g><title>{_escaped(step["instruction"])}</title>',
             theme.box(_LEFT, y, _RIGHT - _LEFT, TALL - 2, stroke=stroke, radius=4),
             f'<rect x="{_LEFT:g}" y="{y:g}" width="6" height="{TALL - 2}" fill="{stroke}"/>',
             theme.badge(_LEFT + 28, y + 24, layer["number"], theme.colour("layer")),
             theme.text(x, y + 21, theme.shorten(step["instruction"] or "(no history)", 60), size=13, cls="mono",
                        weight=600)]
    for sign, count, role in counts:
        word = f"{sign} {count:,}"
        parts.append(f'<rect x="{x:g}" y="{y + 30:g}" width="9" height="9" rx="2" fill="{theme.colour(role)}"/>')
        parts.append(theme.text(x + 13, y + 39, word, size=11, cls="dim"))
        x += 26 + 6.4 * len(word)
    for words, role in marks:
        said = theme.shorten(words, max(8, int((_BAR - 16 - x) / 6)))
        parts.append(f'<rect x="{x + 4:g}" y="{y + 29:g}" width="4" height="11" fill="{theme.colour(role)}"/>')
        parts.append(theme.text(x + 13, y + 39, said, size=11, weight=600))
        x += 26 + 6.2 * len(said)
    parts += [_bar(layer["size"], layer.get("hidden", 0), y, largest, "layer"), "</g>"]
    return "".join(parts)


def _bar(size: int, hidden: int, y: float, largest: int, role: str) -> str:
    wide = max(_BAR_WIDTH * size / largest, 2.0) if size else 0.0
    covered = wide * min(hidden / size, 1.0) if size else 0.0
    words = human(size)
    parts = [f'<rect x="{_BAR}" y="{y + 12:g}" width="{wide - covered:.1f}" height="24" fill="{theme.colour(role)}"/>']
    if covered >= 0.5:
        parts.append(f'<rect x="{_BAR + wide - covered:.1f}" y="{y + 12:g}" width="{covered:.1f}" height="24" '
                     'fill="url(#kit-hidden)"/>')
    parts.append(theme.text(_RIGHT - 14, y + (22 if hidden else 29), words, size=14, anchor="end", weight=700))
    if hidden:
        parts.append(theme.text(_RIGHT - 14, y + 38, f"{human(hidden)} hidden", size=11, anchor="end", cls="dim"))
    return "".join(parts)


def _empty(step: Data, y: float) -> str:
    words = theme.shorten(step["instruction"], 62)
    return (f'<g><title>{_escaped(step["instruction"])}</title>'
            f'<path d="M {_LEFT} {y + 12:g} h 44" class="line" stroke-dasharray="3 3"/>'
            + theme.text(_LEFT + 52, y + 16, words, size=12, cls="mono dim")
            + theme.text(_RIGHT - 14, y + 16, "no layer", size=11, anchor="end", cls="dim") + "</g>")


def _container(container: Data, y: float, largest: int) -> str:
    role = "read-write"
    x = _LEFT + 52.0
    parts = [f'<rect x="{_LEFT}" y="{y:g}" width="{_RIGHT - _LEFT}" height="{TALL - 2}" rx="4" class="box" '
             f'stroke="{theme.colour(role)}" stroke-width="2.5" stroke-dasharray="7 4"/>',
             theme.text(_LEFT + 28, y + 29, "RW", size=12, anchor="middle", weight=700),
             theme.text(x, y + 21, theme.shorten(f"container {container['name']} ({container['status']}), read-write",
                                                 60), size=13, weight=700)]
    for sign, count, kind in counted(container["changes"]):
        word = f"{sign} {count:,}"
        parts.append(f'<rect x="{x:g}" y="{y + 30:g}" width="9" height="9" rx="2" fill="{theme.colour(kind)}"/>')
        parts.append(theme.text(x + 13, y + 39, word, size=11, cls="dim"))
        x += 26 + 6.4 * len(word)
    if not container["changes"]:
        parts.append(theme.text(x, y + 39, "nothing written yet", size=11, cls="dim"))
    return "".join(parts) + _bar(container["size"], 0, y, largest, role)


def _legend(report: Data, y: float) -> str:
    parts, x = [], float(_LEFT)
    entries = [("layer", "layer, read-only")]
    if any(layer.get("hidden") for layer in report["layers"]):
        entries.append(("hidden", "hidden by a later layer"))
    entries += [("added", "+ added"), ("changed", "~ changed"), ("removed", "− removed")]
    if any(layer.get("sharedWith") for layer in report["layers"]):
        entries.append(("shared", "layer shared with another image"))
    for role, words in entries:
        fill = "url(#kit-hidden)" if role == "hidden" else theme.colour(role)
        parts.append(f'<rect x="{x:g}" y="{y - 9:g}" width="10" height="10" rx="2" fill="{fill}"/>')
        parts.append(theme.text(x + 15, y, words, size=11, cls="dim"))
        x += 36 + 6.6 * len(words)
    return "".join(parts)


def counted(changes: list[Data]) -> list[tuple[str, int, str]]:
    """(sign, how many, role) of the kinds of change that there are."""
    found = [(SIGNS[kind], sum(1 for change in changes if change["kind"] == kind), kind) for kind in SIGNS]
    return [each for each in found if each[1]]


def spoken(report: Data) -> str:
    """The alternative text: the stack in sentences, from the top."""
    layers = {layer["number"]: layer for layer in report["layers"]}
    lines = [f"{summary(report)}."]
    container = report.get("container")
    if container:
        lines.append(f"On top: the read-write layer of container {container['name']}, {human(container['size'])}, "
                     f"{len(container['changes'])} changes.")
    for step in reversed(report["steps"]):
        layer = layers.get(step["layer"] or 0)
        if layer is None:
            lines.append(f"{step['instruction']}: no layer.")
            continue
        what = ", ".join(f"{count:,} {kind}" for _, count, kind in counted(layer["changes"])) or "no files"
        hidden = f", {human(layer['hidden'])} of it hidden by later layers" if layer.get("hidden") else ""
        lines.append(f"Layer {layer['number']}, {step['instruction'] or 'no history'}: {human(layer['size'])}{hidden}; "
                     f"{what}.")
    return " ".join(lines)


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
