"""NetworkPolicies in a notebook: `kit.policy`, what the policies say beside what traffic does.

    kit.policy()                                  the lab's Pods, computed and measured
    kit.policy("lab16", "lab16-ops")              several namespaces
    kit.policy(source="client", to="web", port=8080)    one connection, explained
"""

from __future__ import annotations

from typing import Any

from kitlib.book import session
from kitlib.cluster.errors import KitError
from kitlib.cluster.reachability import Reachability
from kitlib.traffic.attempts import measure as try_all
from kitlib.views.policy_figure import PolicyFigure


class Explanation:
    """Verdicts as text; `.allowed` says whether any endpoint may be reached."""

    def __init__(self, verdicts: list[Any]) -> None:
        self.verdicts = verdicts

    @property
    def allowed(self) -> bool:
        return any(found.allowed for found in self.verdicts)

    def __repr__(self) -> str:
        return "\n".join(line for found in self.verdicts for line in found.lines())


def policy(*namespaces: str, source: str = "", to: str = "", port: int = 0, measure: bool = True,
           seconds: float = 1.0) -> Any:
    """Who may talk to whom.  measure: also try each TCP connection, for so many seconds at most.

    source, to: explain this one connection instead (a Pod, an address; `to` may be "svc/NAME").  Raises KitError in one
    sentence.
    """
    if bool(source) != bool(to):
        raise KitError("give both ends, source= and to=, or neither.")
    client = session._cluster().client("kit-policy")
    chosen = list(namespaces) or [session._namespace()]
    look = Reachability(client, chosen[0])
    if source:
        return Explanation(look.explain(source, to, port))
    matrix = look.matrix(chosen, port)
    return PolicyFigure(matrix, try_all(client, matrix["cells"], seconds=seconds) if measure else None)
