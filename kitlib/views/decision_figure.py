"""Why a Pod is where it is, or nowhere: one decision of the scheduler, as a picture and as text.

    Pod default/web: node-2, the best of 2 nodes that could run it (3 looked at)

    node-2   542  ▌TaintToleration 300▐▌NodeResourcesFit 91▐▌…       ◀ chosen
    node-3   498  ▌TaintToleration 300▐▌NodeResourcesFit 63▐▌…
    node-1     –  NodeResourcesFit: Insufficient cpu

The data is what GET /kit/decisions says (scheduler/decision.py).  In a large cluster the best nodes are shown, and the
refused ones are counted by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from kitlib.views import theme

Data = Mapping[str, Any]
BEST, REFUSED = 12, 8  # rows of each kind
WIDTH, ROW, NAMES, TOTALS = 980, 30, 170, 60
# One for each plugin, in the order of the decision; the legend has a name for each.
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999", "#f0e442")


class DecisionFigure:
    """`.decision` is the plain data, `.svg` the picture, `str()` the text."""

    def __init__(self, decision: Data) -> None:
        self.decision = decision
        nodes: Mapping[str, Data] = decision["nodes"]
        rated = [(name, node) for name, node in nodes.items() if "total" in node]
        self._rated = sorted(rated, key=lambda item: (item[0] != decision["chosen"], -item[1]["total"], item[0]))
        self._refused = sorted((name, node) for name, node in nodes.items() if "total" not in node)

    @property
    def title(self) -> str:
        told = self.decision
        some, every = told["lookedAt"], told["of"]
        looked = f"{some} of {every} looked at" if some < every else f"of {every}"
        if not told["chosen"]:
            return f"Pod {told['pod']}: no node"
        if len(self._rated) == 1:
            return f"Pod {told['pod']}: {told['chosen']}, the only node that can run it ({looked})"
        return f"Pod {told['pod']}: {told['chosen']}, the best of {len(self._rated)} nodes that can run it ({looked})"

    @property
    def notes(self) -> list[str]:
        """What else there is to say, one sentence each."""
        told, said = self.decision, []
        if told["message"]:
            said.append(str(told["message"]))
        if told["victims"]:
            said.append(f"To make room on {told['nominated']}, these leave: {', '.join(told['victims'])}.")
        if told["chosen"] and len(self._rated) > 1:
            best = self._rated[0][1]["total"]
            equals = sum(node["total"] == best for _, node in self._rated)
            if equals > 1:
                said.append(f"{equals} nodes have {best} points: among equals the Pod's uid decides, as chance would.")
        return said

    def plugins(self) -> list[str]:
        """Those that gave points, in their order."""
        return list(next((node["scores"] for _, node in self._rated), {}))

    def __str__(self) -> str:
        names = [name for name, _ in (*self._rated[:BEST], *self._refused[:REFUSED])]
        wide = max([len(name) for name in names] + [4])
        plugins = self.plugins()
        lines = [self.title, ""]
        if plugins:
            lines.append(f"{'NODE':<{wide}}  {'POINTS':>6}  " + "  ".join(plugins))
        for name, node in self._rated[:BEST]:
            cells = "  ".join(f"{points(node, plugin):>{len(plugin)}}" for plugin in plugins)
            chosen = "  ◀ chosen" if name == self.decision["chosen"] else ""
            lines.append(f"{name:<{wide}}  {node['total'] if plugins else '':>6}  {cells}{chosen}".rstrip())
        lines += self._more(len(self._rated) - BEST, "could run it as well, for fewer points or the same")
        for name, node in self._refused[:REFUSED]:
            lines.append(f"{name:<{wide}}  {'–':>6}  {refusal(node)}")
        lines += self._rest()
        return "\n".join([*lines, *([""] * bool(self.notes)), *self.notes])

    __repr__ = __str__

    @staticmethod
    def _more(count: int, what: str) -> list[str]:
        return [f"and {count} more that {what}"] if count > 0 else []

    def _rest(self) -> list[str]:
        """The refused nodes that have no row, counted by reason."""
        counted = Counter(refusal(node) for _, node in self._refused[REFUSED:])
        return [f"and {count} more: {reason}" for reason, count in counted.most_common()]

    @property
    def svg(self) -> str:
        rows = [*self._rated[:BEST], *self._refused[:REFUSED]]
        after = [*self._more(len(self._rated) - BEST, "could run it as well"), *self._rest(), *self.notes]
        plugins = self.plugins()
        colours = {plugin: PALETTE[place % len(PALETTE)] for place, plugin in enumerate(plugins)}
        parts = [theme.text(20, 28, self.title, size=16, weight=700)]
        y = 44.0
        for name, node in rows:
            parts.append(self._row(y, name, node, colours))
            y += ROW
        for line in after:
            parts.append(theme.text(20, y + 18, theme.shorten(line, 130), cls="dim"))
            y += 22
        legend, height = _legend(y + 12, colours, {plugin: self._weight(plugin) for plugin in plugins})
        described = f"{self.title}. {' '.join(after)}"
        return theme.svg(WIDTH, y + 12 + height, "".join(parts) + legend, title=self.title, description=described)

    def _weight(self, plugin: str) -> int:
        return int(self._rated[0][1]["scores"][plugin]["weight"])

    def _row(self, y: float, name: str, node: Data, colours: Mapping[str, str]) -> str:
        chosen = name == self.decision["chosen"]
        parts = [theme.text(20, y + 19, theme.shorten(name, 22), weight=700 if chosen else 400)]
        if "total" not in node:
            parts.append(theme.text(NAMES + TOTALS - 10, y + 19, "✗", anchor="end", fill=theme.colour("Failed")))
            parts.append(theme.text(NAMES + TOTALS, y + 19, theme.shorten(refusal(node), 110), cls="dim"))
            return "".join(parts)
        if colours:
            parts.append(theme.text(NAMES + TOTALS - 10, y + 19, str(node["total"]), anchor="end", weight=600))
        most = 100 * sum(score["weight"] for score in node["scores"].values()) or 1
        x, scale = float(NAMES + TOTALS), (WIDTH - NAMES - TOTALS - 110) / most
        for plugin, colour in colours.items():
            wide = points(node, plugin) * scale
            parts.append(f'<rect x="{x:g}" y="{y + 5:g}" width="{wide:g}" height="{ROW - 10}" fill="{colour}">'
                         f"<title>{plugin}: {points(node, plugin)}</title></rect>")
            x += wide
        if chosen:
            parts.append(theme.text(x + 8, y + 19, "◀ chosen", weight=700, fill=theme.colour("Running")))
        return "".join(parts)

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        return {"text/html": self.svg, "text/plain": str(self)}


def points(node: Data, plugin: str) -> int:
    """A plugin's part of a node's total: its score of 0 to 100, times its weight."""
    score = node["scores"][plugin]
    return int(score["normalized"]) * int(score["weight"])


def refusal(node: Data) -> str:
    return f"{node['plugin']}: {', '.join(node['reasons'])}"


def _legend(y: float, colours: Mapping[str, str], weights: Mapping[str, int]) -> tuple[str, float]:
    parts, x, top = [], 20.0, y
    for plugin, colour in colours.items():
        label = f"{plugin} × {weights[plugin]}"
        wide = 30 + 7.2 * len(label)
        if x + wide > WIDTH:
            x, y = 20.0, y + 22
        parts.append(f'<rect x="{x:g}" y="{y:g}" width="14" height="14" rx="3" fill="{colour}"/>')
        parts.append(theme.text(x + 20, y + 12, label, size=12))
        x += wide
    return "".join(parts), y - top + (30 if colours else 4)
