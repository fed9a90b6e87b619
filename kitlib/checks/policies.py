"""What checks of network policies have in common: find a policy, try connections from inside Pods, say which was wrong.

A way is (source, destination, port); a Pod is "name" in the lab's namespace or "namespace/name".  Every way is tried
by a real connection that begins in the source Pod (traffic/attempts.py), many at once, so that a row of time-outs
costs one.  A policy needs a moment to reach the nodes, and a busy machine is slow: what is not as it should be is
tried again, with more patience each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kitlib.checks.world import World
from kitlib.checks.wrong import Wrong
from kitlib.client.streams import execute
from kitlib.traffic.attempts import CONNECTED, REFUSED, TIMEOUT, default_container, measure

Way = tuple[str, str, int]
Object = dict[str, Any]
POLICIES = "networkpolicies.networking.k8s.io"
PATIENCE = (0.4, 1.0, 2.0)  # seconds a connection has, in each round
_LOOK_UP = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))"


def policy(world: World, name: str, namespace: str = "") -> Object:
    """The policy's spec, with the directions it isolates as `policyTypes`.  Raises Wrong if there is none."""
    where = namespace or world.namespace
    found = world.eventually(lambda: world.get(POLICIES, name, where), within=0.5)
    if found is None:
        there = [p["metadata"]["name"] for p in world.client.list(POLICIES, where)["items"]]
        raise Wrong(f"there is no NetworkPolicy {name!r} in namespace {where}",
                    f"Did `kubectl apply` accept the manifest, and is `metadata.name` {name!r}?"
                    + (" Its `metadata.namespace`, too?" if where != world.namespace else ""),
                    expected=name, actual=there)
    return dict(found["spec"])


def pod_address(world: World, place: str) -> str:
    """The address of a Pod that runs.  Raises Wrong if there is none."""
    namespace, name = split(world, place)

    def look() -> str:
        found = world.get("pods", name, namespace)
        return "" if found is None else str((found.get("status") or {}).get("podIP") or "")

    address = world.eventually(look)
    if not address:
        raise Wrong(f"Pod {name} of namespace {namespace} does not run", "The cell that builds the Pods has to be run "
                    "first; `kubectl get pods -A` shows how they are.", expected="Running", actual=None)
    return address


def split(world: World, place: str) -> tuple[str, str]:
    namespace, _, name = place.rpartition("/")
    return namespace or world.namespace, name


def outcomes(world: World, ways: Iterable[Way], seconds: float) -> dict[Way, str]:
    """Try all of them side by side."""
    cells: dict[Way, Object] = {}
    for way in ways:
        source, destination, port = way
        cells[way] = {"from": "/".join(split(world, source)), "ip": pod_address(world, destination), "port": port,
                      "protocol": "TCP"}
    seen = measure(world.client, cells.values(), seconds=seconds)
    return {way: seen[cell["from"], f"{cell['ip']}:{cell['port']}"] for way, cell in cells.items()}


def prove(world: World, passing: Iterable[Way], dropped: Iterable[Way], hints: Mapping[Way, str]) -> None:
    """Both directions of the truth: what must pass passes, what must not times out.  Raises Wrong with the hint of
    the first way that is not as it should be."""
    must = {**dict.fromkeys(passing, CONNECTED), **dict.fromkeys(dropped, TIMEOUT)}
    enforced(world)
    seen: dict[Way, str] = {}
    for seconds in PATIENCE:
        open_ways = [way for way in must if seen.get(way) != must[way]]
        seen |= outcomes(world, open_ways, seconds)
        if all(seen[way] == outcome for way, outcome in must.items()):
            world.evidence["traffic"] = {shown(way): outcome for way, outcome in seen.items()}
            return
    way = next(way for way in must if seen[way] != must[way])
    world.evidence["traffic"] = {shown(way): outcome for way, outcome in seen.items()}
    if seen[way] not in (CONNECTED, REFUSED, TIMEOUT):
        raise Wrong(f"{shown(way)} could not be tried", "The Pod it begins in has to run: `kubectl get pods -A`.",
                    expected=must[way], actual=seen[way])
    raise Wrong(f"{shown(way)} {'passes' if must[way] == TIMEOUT else 'does not get through'}", hints[way],
                expected="timeout" if must[way] == TIMEOUT else "connected", actual=seen[way])


def shown(way: Way) -> str:
    return f"{way[0]} → {way[1]}:{way[2]}"


def enforced(world: World) -> None:
    """Raises Wrong where the machine cannot keep to policies, and has said so."""
    events = world.client.list("events", world.namespace)["items"]
    why = next((event["message"] for event in events if event.get("reason") == "NotEnforced"), "")
    if why:
        raise Wrong("this cluster enforces no network policies", f"It says itself: {why}. This chapter needs a place "
                    "where `kit doctor` finds seccomp notification, or a cluster whose CNI plug-in enforces policies.")


def resolves(world: World, pod: str, name: str) -> bool:
    """Whether a program in a Pod (with python3) finds a name, in a second or two."""
    namespace, own = split(world, pod)
    quick = "RES_OPTIONS='timeout:1 attempts:2 ndots:1' exec python3 -ISc \"$1\" \"$2\""
    pipe = execute(world.client.transport, namespace, own, ["sh", "-c", quick, "kit", _LOOK_UP, name],
                   container=default_container(world.client, namespace, own))
    pipe.sock.settimeout(20.0)
    try:
        return bool(pipe.sock.recv(100).strip())
    except TimeoutError:
        return False
    finally:
        pipe.sock.close()


def ports(spec: Mapping[str, Any], side: str) -> list[Any]:
    """All port numbers and names that the rules of a direction mention."""
    return [port.get("port") for rule in spec.get(side) or () for port in rule.get("ports") or ()]
