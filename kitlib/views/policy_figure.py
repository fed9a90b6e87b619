"""Who may talk to whom, drawn: as SVG in a notebook, as a table everywhere else.

The data is what `kit policy --json` prints (cluster/reachability.py): Pods, policies and one cell for each pair and
port.  `measured` are the outcomes of real attempts (traffic/attempts.py); where they differ from what the policies say,
the figure says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kitlib.views import policy_svg

Measured = Mapping[tuple[str, str], str]
CONNECTED, TIMEOUT, REFUSED = "connected", "timeout", "refused"


class PolicyFigure:
    """`.matrix` is the plain data, `.svg` the picture, `str()` the table."""

    def __init__(self, matrix: Mapping[str, Any], measured: Measured | None = None) -> None:
        self.matrix, self.measured = matrix, measured

    def allowed(self, source: str, destination: str, port: int = 0) -> bool:
        """What the policies say; names as "pod" or "namespace/pod"; without a port: is any open?"""
        return any(cell["allowed"] for cell in self._cells(source, destination, port))

    def passed(self, source: str, destination: str, port: int = 0) -> bool:
        """What was measured: did the way turn out to be open?  (A refusal comes from the Pod, too.)"""
        return any(self.outcome(cell) in (CONNECTED, REFUSED) for cell in self._cells(source, destination, port))

    def outcome(self, cell: Mapping[str, Any]) -> str:
        """connected, refused, timeout, unreachable, "unknown: why"; "" if it was not tried."""
        return (self.measured or {}).get((cell["from"], f"{cell['ip']}:{cell['port']}"), "")

    @property
    def differences(self) -> list[str]:
        """Where traffic and policies disagree, one sentence each."""
        return [f"{cell['from']} → {cell['to']}:{cell['port']} is {'allowed' if cell['allowed'] else 'denied'} by the "
                f"policies, but measured: {outcome}"
                for cell in self.matrix["cells"] if (outcome := self.outcome(cell)) and differs(cell, outcome)]

    def _cells(self, source: str, destination: str, port: int) -> list[Mapping[str, Any]]:
        found = [cell for cell in self.matrix["cells"]
                 if _named(cell["from"], source) and _named(cell["to"], destination) and port in (0, cell["port"])]
        if not found:
            there = ", ".join(pod["key"] for pod in self.matrix["pods"])
            raise KeyError(f"no pair {source} → {destination} in this figure; its Pods: {there}")
        return found

    @property
    def svg(self) -> str:
        return policy_svg.render(self.matrix, {id(cell): self.outcome(cell) for cell in self.matrix["cells"]},
                                 self.measured is not None)

    def __str__(self) -> str:
        pods = [pod["key"] for pod in self.matrix["pods"]]
        if not pods:
            return f"No Pods in {', '.join(self.matrix['namespaces'])}."
        rows = [["from \\ to", *map(self._short, pods)]]
        rows += [[self._short(source), *(self._text(source, target) for target in pods)] for source in pods]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        policies = ", ".join(policy["name"] for policy in self.matrix["policies"]) or "none"
        lines += ["", f"policies: {policies}"]
        if self.measured is not None:
            lines += ["✓ passes, ✗ is dropped: first what the policies say, then what was measured.",
                      *(self.differences or ["Traffic and policies agree."])]
        return "\n".join(lines)

    __repr__ = __str__

    def _short(self, key: str) -> str:
        return key.rpartition("/")[2] if len(self.matrix["namespaces"]) == 1 else key

    def _text(self, source: str, target: str) -> str:
        cells = [cell for cell in self.matrix["cells"] if (cell["from"], cell["to"]) == (source, target)]
        return " ".join(f"{cell['port']}{policy_svg.MARKS[cell['allowed']]}{policy_svg.mark_of(self.outcome(cell))}"
                        for cell in cells) or "·"

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        return {"text/html": self.svg, "text/plain": str(self)}


def differs(cell: Mapping[str, Any], outcome: str) -> bool:
    """A refusal passed the policies: somebody was there to refuse."""
    return bool(cell["allowed"]) != (outcome in (CONNECTED, REFUSED))


def _named(key: str, wanted: str) -> bool:
    """"web" also means the Pods of a Deployment of that name."""
    name = key if "/" in wanted else key.rpartition("/")[2]
    return name == wanted or name.startswith(f"{wanted}-")
