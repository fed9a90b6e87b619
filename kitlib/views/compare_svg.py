"""Two images side by side: what is one and the same layer, and from which instruction on they differ.

    app:1                                     app:2
    ┌ 4  RUN make      2 MB ┐   ≠   ┌ 4  RUN make      2 MB ┐   follows
    ┌ 3  COPY . /src   1 MB ┐   ✂   ┌ 3  COPY . /src   1 MB ┐   the cache broke here: /src/main.c (content)
    ┌ 1  ADD base.tar /           kept once               80 MB ┐

Draws the JSON form of a comparison (docs/layers.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kitlib.views import theme
from kitlib.views.layers_tree import human

Data = Mapping[str, Any]
WIDTH = 980
_LEFT, _COLUMN, _MIDDLE, _TOP = 24, 442, 48, 70
_WORDS = {"same": "the same layer, kept once", "same bytes": "made again, and the same layer: kept once",
          "broke": "the cache broke here", "follows": "follows"}
_ROLES = {"same": "shared", "same bytes": "shared", "broke": "broke", "follows": "follows"}


def render(comparison: Data) -> str:
    """The picture as a self-contained SVG."""
    before, after = comparison["before"], comparison["after"]
    right = _LEFT + _COLUMN + _MIDDLE
    parts, y = [], float(_TOP)
    for x, image, word in ((_LEFT, before, "before"), (right, after, "after")):
        parts.append(theme.text(x, 28, theme.shorten(image["name"] or image["id"][:19], 44), size=16, weight=700))
        parts.append(theme.text(x, 48, f"{word}: {human(image['size'])} in {image['layers']} layers, "
                                       f"efficiency {image['efficiency']:.1%}", size=12, cls="dim"))
    for step in reversed(comparison["steps"]):
        drawn, tall = _row(step, y)
        parts.append(drawn)
        y += tall
    parts.append(theme.text(_LEFT, y + 20, summary(comparison), size=13, weight=600))
    return theme.svg(WIDTH, y + 36, "".join(parts), title=f"{before['name']} and {after['name']}, layer by layer",
                     description=spoken(comparison))


def summary(comparison: Data) -> str:
    shared = len(comparison["shared"])
    kinds = [sum(1 for each in comparison["files"] if each["kind"] == kind) for kind in ("added", "removed", "changed")]
    files = f"{kinds[0]:,} files more, {kinds[1]:,} fewer, {kinds[2]:,} different" if any(kinds) else \
        "containers of both see the same files"
    times = f", {comparison['onlyTimes']:,} in nothing but their time" if comparison["onlyTimes"] else ""
    return f"{shared} layer{'s' * (shared != 1)} shared, {human(comparison['sharedBytes'])}; {files}{times}"


def _row(step: Data, y: float) -> tuple[str, float]:
    verdict, role = step["verdict"], _ROLES[step["verdict"]]
    one, other = step["before"], step["after"]
    colour = theme.colour(role)
    has_layer = any(side and side["layer"] for side in (one, other))
    if verdict in ("same", "same bytes"):
        tall = 34.0 if has_layer else 24.0
        wide = 2 * _COLUMN + _MIDDLE
        return _side(one, _LEFT, y, wide, tall, colour, note=_WORDS[verdict] if has_layer else ""), tall
    tall = 34.0 if has_layer else 26.0
    right = _LEFT + _COLUMN + _MIDDLE
    parts = [_side(one, _LEFT, y, _COLUMN, tall, colour), _side(other, right, y, _COLUMN, tall, colour),
             theme.text(_LEFT + _COLUMN + _MIDDLE / 2, y + tall / 2 + 7, "≠", size=20, anchor="middle", weight=700)]
    if verdict == "broke" or step["why"]:
        words = f"{_WORDS[verdict]}: {step['why']}" if verdict == "broke" else step["why"]
        parts.append(f'<rect x="{_LEFT}" y="{y + tall:g}" width="{2 * _COLUMN + _MIDDLE}" height="24" '
                     f'fill="{colour}" fill-opacity="{0.22 if verdict == "broke" else 0.1}"/>')
        parts.append(f'<rect x="{_LEFT}" y="{y + tall:g}" width="5" height="24" fill="{colour}"/>')
        parts.append(theme.text(_LEFT + 14, y + tall + 16, theme.shorten(words, 150), size=12,
                                weight=700 if verdict == "broke" else 400))
        tall += 30
    return f"<g>{''.join(parts)}</g>", tall


def _side(step: Data | None, x: float, y: float, wide: float, tall: float, stroke: str, note: str = "") -> str:
    if step is None:
        return (f'<rect x="{x:g}" y="{y + 1:g}" width="{wide:g}" height="{tall - 4:g}" rx="4" fill="none" '
                f'stroke="{theme.colour("gone")}" stroke-dasharray="3 4"/>'
                + theme.text(x + wide / 2, y + tall / 2 + 4, "not there", size=11, anchor="middle", cls="dim"))
    letters = int((wide - 150 - 6.4 * len(note)) / 7.9)
    words = theme.shorten(step["instruction"] or "(no history)", letters)
    if not step["layer"]:
        return (f'<path d="M {x:g} {y + 12:g} h 30" class="line" stroke-dasharray="3 3"/>'
                + theme.text(x + 40, y + 16, words, size=12, cls="mono dim"))
    parts = [theme.box(x, y, wide, tall - 3, stroke=stroke, radius=4),
             f'<rect x="{x:g}" y="{y:g}" width="5" height="{tall - 3:g}" fill="{stroke}"/>',
             theme.badge(x + 22, y + 15, step["layer"], theme.colour("layer")),
             theme.text(x + 40, y + 20, words, size=12, cls="mono", weight=600),
             theme.text(x + wide - 10, y + 20, human(step["size"]), size=13, anchor="end", weight=700)]
    if note:
        parts.append(theme.text(x + wide - 90, y + 20, f"= {note}", size=12, anchor="end"))
    return "".join(parts)


def spoken(comparison: Data) -> str:
    """The alternative text."""
    lines = [f"{summary(comparison)}."]
    for step in reversed(comparison["steps"]):
        side = step["after"] or step["before"]
        word = _WORDS[step["verdict"]] if side["layer"] or step["verdict"] != "same" else "the same"
        lines.append(f"{side['instruction'] or 'no history'}: {word}{': ' + step['why'] if step['why'] else ''}.")
    return " ".join(lines)
