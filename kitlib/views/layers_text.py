"""An image for a terminal: the stack with a bar for each layer, the files if they are wanted, what is wasted, secrets.

     4  COPY nginx.conf /etc/nginx/    ▏                 3.5 kB  + 1
     3  RUN yum -y install nginx       ████████████▒▒    214 MB  + 1,203  ~ 12
     ·  CMD ["/bin/bash"]                              no layer
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

from kitlib.views.layers_svg import counted, summary
from kitlib.views.layers_tree import SIGNS, build, human, lines, seen

Data = Mapping[str, Any]
MOST_WASTED = 10
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_COLOURS = {"added": "32", "changed": "33", "removed": "31", "layer": "34", "read-write": "35", "dim": "2", "bold": "1"}


def render(report: Data, *, files: str = "", tree: str = "", coloured: bool = False, width: int = 100) -> str:
    """files: a pattern of paths to list too, such as * or /etc/*; tree: one of paths that a container sees.

    width: columns of the terminal.  coloured: with ANSI's colours; each is doubled by a sign or a word.
    """
    paint = painter(coloured)
    layers = {layer["number"]: layer for layer in report["layers"]}
    container = report.get("container")
    largest = max([*(layer["size"] for layer in layers.values()), container["size"] if container else 0, 1])
    bar = 18 if width >= 90 else 8
    longest = max([*(len(step["instruction"]) for step in report["steps"]), 12])
    wide = max(12, min(longest, width - bar - 36, 80))
    out = [paint("bold", report["name"] or report["id"]) + f"   {summary(report)}", ""]
    if container:
        words = f"container {container['name']} ({container['status']})"
        out.append(f" RW  {fit(words, wide)}  {paint('read-write', _bar(container['size'], 0, largest, bar))} "
                   f"{human(container['size']):>8}  {_counts(container['changes'], paint)}".rstrip())
        out += _files(container["changes"], files, paint)
    for step in reversed(report["steps"]):
        layer = layers.get(step["layer"] or 0)
        text = fit(step["instruction"] or "(no history)", wide)
        if layer is None:
            out.append(paint("dim", f"  ·  {text}  {'':{bar}} no layer"))
            continue
        others = layer.get("sharedWith") or ()
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        shared = f"  = {others[0]}{more}" if others else ""
        drawn = paint("layer", _bar(layer["size"], layer["hidden"], largest, bar))
        out.append(f"{layer['number']:>3}  {text}  {drawn} "
                   f"{human(layer['size']):>8}  {_counts(layer['changes'], paint)}{shared}".rstrip())
        out += _files(layer["changes"], files, paint)
    if tree:
        out += ["", "what a container sees, and of which layer:", *_tree(report, tree, paint)]
    hidden = sum(layer["hidden"] for layer in layers.values())
    if hidden:
        out += ["", f"▒ {human(hidden)} that later layers hide: it is shipped, and no container sees it"]
    wasted = [each for each in report["wasted"] if each["size"]]
    if wasted:
        out += ["", "wasted, in all layers that have it:"]
        out += [f"  {human(each['size']):>8}  in {each['count']} layers  {each['path']}"
                for each in wasted[:MOST_WASTED]]
        if len(wasted) > MOST_WASTED:
            out.append(f"            and {len(wasted) - MOST_WASTED:,} more")
    if report["secrets"]:
        out.append("")
    out += [_secret(each, paint) for each in report["secrets"]]
    return "\n".join(out)


def painter(coloured: bool) -> Any:
    return (lambda role, words: f"\x1b[{_COLOURS[role]}m{words}\x1b[0m") if coloured else (lambda role, words: words)


def fit(words: str, width: int) -> str:
    words = " ".join(words.split())
    return (words if len(words) <= width else words[:width - 1] + "…").ljust(width)


def _bar(size: int, hidden: int, largest: int, width: int) -> str:
    """Full blocks for what is seen, grey ones for what is hidden; the smallest layer still shows."""
    eighths = max(1, round(8 * width * size / largest)) if size else 0
    covered = round(eighths * hidden / size / 8) if size else 0
    seen = eighths - 8 * covered
    bar = "█" * (seen // 8) + (_EIGHTHS[seen % 8] if seen > 0 and seen % 8 else "") + "▒" * covered
    return bar.ljust(width)[:width]


def _counts(changes: list[Data], paint: Any) -> str:
    return "  ".join(paint(kind, f"{sign} {count:,}") for sign, count, kind in counted(changes))


def _files(changes: list[Data], pattern: str, paint: Any) -> list[str]:
    found = []
    listed = [change for change in changes if pattern == "*" or fnmatch.fnmatchcase(change["path"], pattern)]
    for depth, node in lines(build(listed)):
        sign = paint(node.kind, SIGNS[node.kind]) if node.kind else " "
        more = "".join(f"  {paint('dim', words)}" for words in (node.rights, node.was) if words)
        size = f"  {human(node.size)}" if node.size or node.of == "file" else ""
        found.append(f"       {sign} {'  ' * depth}{node.label}{size}{more}")
    return found


def _tree(report: Data, pattern: str, paint: Any) -> list[str]:
    listed = [each for each in seen(report) if fnmatch.fnmatchcase(each["path"], pattern)]
    return [f"{node.layer or '':>3}  {'  ' * depth}{node.label}  "
            f"{human(node.size) if node.size or node.of == 'file' else ''}{paint('dim', '  ' + node.rights)}".rstrip()
            for depth, node in lines(build(listed))]


def _secret(secret: Data, paint: Any) -> str:
    where = f"layer {secret['layer']}" if secret["layer"] else "configuration"
    hidden = f"; layer {secret['hiddenBy']} only hides it" if secret["hiddenBy"] else ""
    return f"{paint('removed', 'secret?')}  {secret['path']} ({where}): {secret['why']}{hidden}"
