"""NetworkPolicies in a notebook: `kit.policy`, what the policies say beside what traffic does.

    kit.policy()                                  the lab's Pods, computed and measured
    kit.policy("lab16", "lab16-ops")              several namespaces
    kit.policy(source="client", to="web", port=8080)    one connection, explained
    kit.reach("client", "web:8080", "ops/box:80")       try these, from inside the Pod client
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from kitlib.book import session
from kitlib.cluster.errors import KitError
from kitlib.cluster.reachability import Reachability
from kitlib.objects.errors import StatusError
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
           seconds: float = 0.5) -> Any:
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


_WORDS = {"connected": "passes", "refused": "passes, and is refused: nobody listens there", "timeout": "times out"}


def reach(sources: str | Sequence[str], *targets: str, seconds: float = 0.5) -> None:
    """Try connections from inside a Pod, or several, side by side, and print what becomes of each.

    sources: "client", "team/client", or a list of them.  targets: "web:8080", "team/web:8080", "10.0.0.2:80".  Raises
    KitError.
    """
    client, own = session._cluster().client("kit-policy"), session._namespace()
    chosen = [sources] if isinstance(sources, str) else list(sources)
    places = {target: (_address(client, own, target.rpartition(":")[0]), target.rpartition(":")[2])
              for target in targets}
    cells = [{"from": source if "/" in source else f"{own}/{source}", "ip": ip, "port": port, "protocol": "TCP"}
             for source in chosen for ip, port in places.values()]
    found = try_all(client, cells, seconds=seconds)
    ways = [(source, target) for source in chosen for target in targets]
    for (source, target), cell in zip(ways, cells, strict=True):
        outcome = found[cell["from"], f"{cell['ip']}:{cell['port']}"]
        if outcome.startswith("unknown"):
            raise KitError(f"{source} cannot try: {outcome.removeprefix('unknown: ')}")
        print(f"{source} → {target}: {_WORDS.get(outcome, outcome)}")


def _address(client: Any, own: str, place: str) -> str:
    try:
        return str(ipaddress.ip_address(place))
    except ValueError:
        namespace, _, name = place.rpartition("/")
    try:
        found = (client.get("pods", namespace or own, name).get("status") or {}).get("podIP")
    except StatusError as error:
        raise KitError(f"{place}: {error.message}") from None
    if not found:
        raise KitError(f"Pod {place} has no address yet: `kubectl wait pod {name} --for=condition=Ready`.")
    return str(found)
