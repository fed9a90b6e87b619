"""An image in a page: the stack picture, and below it each layer's files to open and close, what is wasted, secrets.

Opening and closing is the browser's own (<details>): it works with the keyboard and a screen reader, without a script,
in a notebook that nobody has trusted yet, and in a file that is sent by mail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from kitlib.views import layers_svg, layers_tree, theme
from kitlib.views.layers_tree import SIGNS, Node, human

Data = Mapping[str, Any]
MOST_FILES, MOST_WASTED = 300, 10

STYLE = """
.kit-layers { max-width: 980px; background: var(--kit-bg); padding: 4px 0 12px; font-size: 14px; line-height: 1.45; }
.kit.kit-layers h3 { font-size: 16px; font-weight: 700; margin: 18px 24px 6px; color: var(--kit-fg); }
.kit-layers p { margin: 4px 24px; color: var(--kit-fg); }
.kit-layers details { margin: 0 0 0 18px; } .kit-layers > details { margin: 3px 24px; border: 1px solid var(--kit-line);
  border-radius: 6px; background: var(--kit-soft); } .kit-layers > details > div { padding: 2px 0 8px 4px; }
.kit-layers .stack { overflow-x: auto; } .kit-layers .stack svg { min-width: 720px; display: block; }
.kit-layers .stack:focus-visible { outline: 3px solid #56b4e9; }
.kit-layers summary { cursor: pointer; padding: 2px 6px; border-radius: 4px; color: var(--kit-fg); display: flex;
  gap: 10px; align-items: baseline; list-style: none; }
.kit-layers summary::-webkit-details-marker { display: none; }
.kit-layers summary::before { content: "▸"; color: var(--kit-dim); flex: none; width: 10px; }
.kit-layers details[open] > summary::before { content: "▾"; }
.kit-layers summary:focus-visible { outline: 3px solid #56b4e9; outline-offset: 1px; }
.kit-layers summary:hover, .kit-layers .file:hover { background: rgba(127, 140, 160, 0.18); }
.kit-layers .file { margin-left: 18px; padding: 1px 6px 1px 26px; display: flex; gap: 10px; align-items: baseline; }
.kit-layers .name { flex: 1 1 auto; min-width: 0; overflow-wrap: anywhere;
  font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 13px; }
.kit-layers .number { flex: none; min-width: 76px; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.kit-layers .dim { color: var(--kit-dim); white-space: nowrap; font-size: 12.5px; flex: none; }
.kit-layers .counts { white-space: pre; } .kit-layers .layer { min-width: 20px; text-align: right; }
.kit-layers .sign { flex: none; width: 16px; text-align: center; font-weight: 700; border-left: 5px solid; }
.kit-layers .removed .name { text-decoration: line-through; }
.kit.kit-layers table { border-collapse: collapse; margin: 4px 24px; font-size: 13px; color: var(--kit-fg); }
.kit.kit-layers th, .kit.kit-layers td { text-align: left; padding: 3px 18px 3px 0; border: 0; border-bottom: 1px solid
  rgba(127, 140, 160, 0.35); background: none; vertical-align: baseline; overflow-wrap: anywhere; }
.kit.kit-layers tr { background: none; } .kit.kit-layers td.number, .kit.kit-layers th.number { text-align: right; }
@media (max-width: 640px) { .kit-layers > details { margin: 3px 4px; } .kit-layers details { margin-left: 8px; }
  .kit-layers .file { margin-left: 4px; padding-left: 12px; } .kit-layers h3, .kit-layers p, .kit.kit-layers table {
  margin-left: 8px; margin-right: 8px; } .kit-layers .counts { display: none; } }
"""


def render(report: Data, most: int = MOST_FILES) -> str:
    """A piece of a page.  most: how many files are drawn of each layer, the largest (0: all)."""
    layers = {layer["number"]: layer for layer in report["layers"]}
    parts = [stack(layers_svg.render(report)), "<h3>What each layer did</h3>"]
    container = report.get("container")
    if container:
        parts.append(section("RW", f"container {container['name']}", container["size"], container["changes"], most))
    for step in reversed(report["steps"]):
        layer = layers.get(step["layer"] or 0)
        if layer is not None:
            parts.append(section(str(layer["number"]), step["instruction"] or "(no history)", layer["size"],
                                  layer["changes"], most))
    visible = layers_tree.seen(report)
    parts += [section("Σ", "all layers together: what a container sees", sum(each["size"] for each in visible), visible,
                      most), _wasted(report), _secrets(report)]
    return page_part("".join(parts), f"The layers of {report['name'] or report['id']}")


def stack(picture: str) -> str:
    """A picture that is moved sideways, also with the arrow keys, where a page is too narrow to read it."""
    return f'<div class="stack" tabindex="0" role="region" aria-label="picture">{picture}</div>'


def page_part(body: str, label: str) -> str:
    return (f'<div class="kit kit-layers" role="group" aria-label="{escape(label)}">'
            f"<style>{theme.STYLE}{STYLE}</style>{body}</div>")


def page(part: str, title: str) -> str:
    """A whole document that needs nothing else."""
    return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(title)}</title><style>html {{ color-scheme: light dark; }} "
            "body { margin: 0; background: #ffffff; } .kit-layers { margin: 0 auto; } "
            "@media (prefers-color-scheme: dark) { body { background: #14161c; } }</style></head>"
            f"<body>{part}</body></html>\n")


def section(number: str, instruction: str, size: int | None, changes: Sequence[Data], most: int) -> str:
    """What a layer did, to be opened.  size: of the layer, or None where there is none to tell."""
    tree = layers_tree.build(changes, most)
    inside = "".join(_node(child) for child in tree.sorted()) + _cut(tree)
    return (f'<details><summary><span class="dim layer">{escape(number)}</span><span class="name">{escape(instruction)}'
            f'</span><span class="dim counts">{escape(tree.said)}</span>'
            f'<span class="number">{"" if size is None else human(size)}</span>'
            f"</summary><div>{inside or '<p>No file was touched.</p>'}</div></details>")


def _node(node: Node) -> str:
    if not node.children and not node.cut:
        return _file(node)
    inside = "".join(_node(child) for child in node.sorted()) + _cut(node)
    own = f"  ({node.kind}{', ' * bool(node.was)}{node.was})" if node.kind in SIGNS else ""
    return (f'<details><summary><span class="name">{escape(node.name)}/</span><span class="dim counts">'
            f'{escape(node.said + own)}</span><span class="number">{human(node.size)}</span></summary>'
            f"<div>{inside}</div></details>")


def _file(node: Node) -> str:
    colour = theme.colour("layer" if node.kind == layers_tree.SEEN else node.kind)
    before = f'<span class="dim counts">{escape(node.was)}</span>' if node.was else ""
    size = human(node.size) if node.size or node.of == "file" else ""
    name = escape(node.label)
    return (f'<div class="file {node.kind}" title="{escape(node.rights)}">'
            f'<span class="sign" style="border-color:{colour}" title="{node.kind}" aria-label="{node.kind}">'
            f'{SIGNS.get(node.kind, "·")}</span><span class="name">{name}</span>{before}'
            f'<span class="number">{size}</span></div>')


def _cut(node: Node) -> str:
    return f'<div class="file dim">… and {node.cut:,} smaller ones</div>' if node.cut else ""


def _wasted(report: Data) -> str:
    wasted = [each for each in report["wasted"] if each["size"]]
    if not wasted:
        return "<h3>Wasted</h3><p>Nothing: no file stands in more than one layer.</p>"
    rows = "".join(f'<tr><td class="number">{human(each["size"])}</td><td class="number">{each["count"]}</td>'
                   f'<td class="name">{escape(each["path"])}</td></tr>' for each in wasted[:MOST_WASTED])
    more = f"<p class='dim'>… and {len(wasted) - MOST_WASTED:,} more</p>" if len(wasted) > MOST_WASTED else ""
    return (f"<h3>Wasted: {human(report['wastedBytes'])}, efficiency {report['efficiency']:.1%}</h3>"
            '<table><thead><tr><th class="number">in all layers</th><th class="number">layers</th><th>path</th></tr>'
            f"</thead><tbody>{rows}</tbody></table>{more}")


def _secrets(report: Data) -> str:
    if not report["secrets"]:
        return ""
    rows = "".join(
        f'<tr><td class="name">{escape(each["path"])}</td><td>{_place(each)}</td><td>{escape(each["why"])}</td></tr>'
        for each in report["secrets"])
    return ("<h3>Looks like a secret</h3><table><thead><tr><th>where</th><th>layer</th><th>why</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>")


def _place(secret: Data) -> str:
    if not secret["layer"]:
        return "configuration"
    hidden = f"; <b>layer {secret['hiddenBy']} only hides it</b>" if secret["hiddenBy"] else ""
    return f"{secret['layer']}{hidden}"
