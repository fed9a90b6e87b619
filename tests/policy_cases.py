"""NetworkPolicies and what they have to mean: the cases of the Kubernetes project's own suite, and the known recipes.

The little world is theirs: namespaces x, y and z (labelled ns=…), each with the Pods a, b and c (labelled pod=…), which
listen on 80 and 81, TCP and UDP; the container ports are named serve-80-tcp and so on.  A case says what must pass;
everything is then asked: every Pod, every other Pod, every port and protocol.

Source: kubernetes/test/e2e/network/netpol/network_policy.go; github.com/ahmetb/kubernetes-network-policy-recipes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
Passes = Callable[[str, str, int, str], bool]  # (x/a, y/b, 80, TCP)

NAMESPACES, PODS, PORTS, PROTOCOLS = ("x", "y", "z"), ("a", "b", "c"), (80, 81), ("TCP", "UDP")
ALL: Object = {}


def policy(name: str, namespace: str, pods: Object, **sides: Any) -> Object:
    """sides: ingress= and egress=, lists of rules; types= where they are to be given."""
    spec: Object = {"podSelector": pods}
    types = sides.pop("types", [side.capitalize() for side in sides])
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec | sides | ({"policyTypes": types} if types is not None else {})}


def pod(*names: str) -> Object:
    """Pods by their label: one, or any of several."""
    if len(names) == 1:
        return {"matchLabels": {"pod": names[0]}}
    return {"matchExpressions": [{"key": "pod", "operator": "In", "values": list(names)}]}


def ns(*names: str) -> Object:
    if len(names) == 1:
        return {"matchLabels": {"ns": names[0]}}
    return {"matchExpressions": [{"key": "ns", "operator": "In", "values": list(names)}]}


def not_ns(*names: str) -> Object:
    return {"matchExpressions": [{"key": "ns", "operator": "NotIn", "values": list(names)}]}


def port(number: int | str, protocol: str = "TCP", end: int = 0) -> Object:
    return {"port": number, "protocol": protocol} | ({"endPort": end} if end else {})


@dataclass(frozen=True)
class Case:
    name: str
    policies: list[Object]
    passes: Passes


def address(place: str) -> str:
    """x/a is 10.1.1.1, x/b 10.1.1.2, …, z/c 10.1.3.3: a /24 per namespace."""
    namespace, _, name = place.partition("/")
    return f"10.1.{NAMESPACES.index(namespace) + 1}.{PODS.index(name) + 1}"


def peers(*entries: Object, ports: list[Object] | None = None, key: str = "from") -> list[Object]:
    return [{key: list(entries)} | ({"ports": ports} if ports else {})]


def _into(target: str, *sources: str) -> Passes:
    """Only these reach the target (a Pod, or a namespace with a slash); everything else passes."""
    return lambda s, d, p, t: not d.startswith(target) or any(s.startswith(source) for source in sources)


X_A = pod("a")
CASES = [
    Case("no policy", [], lambda s, d, p, t: True),
    Case("default deny ingress", [policy("deny", "x", ALL, ingress=[])], _into("x/")),
    Case("default deny egress", [policy("deny", "x", ALL, egress=[])],
         lambda s, d, p, t: not s.startswith("x/")),
    Case("default deny all", [policy("deny", "x", ALL, ingress=[], egress=[])],
         lambda s, d, p, t: not s.startswith("x/") and not d.startswith("x/")),
    Case("policyTypes default to Ingress", [policy("deny", "x", ALL, types=None)], _into("x/")),
    Case("policyTypes default to Egress, too, if there is a rule for it",
         [policy("out", "x", ALL, types=None, egress=peers({"podSelector": pod("b")}, key="to"))],
         lambda s, d, p, t: not d.startswith("x/") and (not s.startswith("x/") or d == "x/b")),
    Case("egress rules without the type are ignored",
         [policy("in", "x", ALL, types=["Ingress"], ingress=[{}], egress=[])], lambda s, d, p, t: True),
    Case("from Pods of the own namespace", [policy("allow", "x", X_A, ingress=peers({"podSelector": pod("b")}))],
         _into("x/a", "x/b")),
    Case("from all namespaces", [policy("allow", "x", X_A, ingress=peers({"namespaceSelector": {}}))],
         lambda s, d, p, t: True),
    Case("from everybody by an empty rule", [policy("allow", "x", ALL, ingress=[{}])], lambda s, d, p, t: True),
    Case("an empty podSelector is the own namespace",
         [policy("allow", "x", X_A, ingress=peers({"podSelector": {}}))], _into("x/a", "x/")),
    Case("from one namespace", [policy("allow", "x", X_A, ingress=peers({"namespaceSelector": ns("y")}))],
         _into("x/a", "y/")),
    Case("from namespaces by expressions",
         [policy("allow", "x", X_A, ingress=peers({"namespaceSelector": ns("y", "z")}))], _into("x/a", "y/", "z/")),
    Case("from Pods by expressions", [policy("allow", "x", X_A, ingress=peers({"podSelector": pod("b", "c")}))],
         _into("x/a", "x/b", "x/c")),
    Case("PodSelector OR NamespaceSelector",
         [policy("or", "x", X_A, ingress=peers({"namespaceSelector": ns("y")}, {"podSelector": pod("b")}))],
         _into("x/a", "y/", "x/b")),
    Case("PodSelector AND NamespaceSelector",
         [policy("and", "x", X_A, ingress=peers({"namespaceSelector": ns("y"), "podSelector": pod("b")}))],
         _into("x/a", "y/b")),
    Case("several of both", [policy("many", "x", X_A, ingress=peers(
        {"namespaceSelector": not_ns("x"), "podSelector": pod("b", "c")}))], _into("x/a", "y/b", "y/c", "z/b", "z/c")),
    Case("a namespace by its own name", [policy("name", "x", X_A, ingress=peers(
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "z"}}}))], _into("x/a", "z/")),
    Case("by port", [policy("port", "x", X_A, ingress=peers({"namespaceSelector": ns("y")}, ports=[port(81)]))],
         lambda s, d, p, t: d != "x/a" or (s.startswith("y/") and (p, t) == (81, "TCP"))),
    Case("a port without a peer", [policy("port", "x", X_A, ingress=[{"ports": [port(80)]}])],
         lambda s, d, p, t: d != "x/a" or (p, t) == (80, "TCP")),
    Case("a protocol without a port", [policy("udp", "x", X_A, ingress=[{"ports": [{"protocol": "UDP"}]}])],
         lambda s, d, p, t: d != "x/a" or t == "UDP"),
    Case("SCTP is not taken for TCP", [policy("sctp", "x", X_A, ingress=[{"ports": [port(80, "SCTP")]}])],
         _into("x/a")),
    Case("a range of ports", [policy("range", "x", X_A, ingress=[{"ports": [port(79, end=80)]}])],
         lambda s, d, p, t: d != "x/a" or (p, t) == (80, "TCP")),
    Case("a named port", [policy("named", "x", X_A, ingress=[{"ports": [port("serve-81-tcp")]}])],
         lambda s, d, p, t: d != "x/a" or (p, t) == (81, "TCP")),
    Case("a named port nobody has", [policy("named", "x", X_A, ingress=[{"ports": [port("metrics")]}])],
         _into("x/a")),
    Case("a named port and its protocol", [policy("named", "x", X_A, ingress=[{"ports": [port("serve-81-udp")]}])],
         _into("x/a")),
    Case("a named port on the way out",
         [policy("named", "x", X_A, egress=peers({"namespaceSelector": ns("y")}, ports=[port("serve-80-udp", "UDP")],
                                                 key="to"))],
         lambda s, d, p, t: s != "x/a" or (d.startswith("y/") and (p, t) == (80, "UDP"))),
    Case("policies are added up", [
        policy("one", "x", X_A, ingress=peers({"namespaceSelector": ns("y")}, ports=[port(80)])),
        policy("two", "x", ALL, ingress=peers({"podSelector": {}}, ports=[port(81)]))],
         lambda s, d, p, t: not d.startswith("x/") or (d == "x/a" and s.startswith("y/") and (p, t) == (80, "TCP"))
         or (s.startswith("x/") and (p, t) == (81, "TCP"))),
    Case("an allow-all makes a deny-all void", [policy("deny", "x", ALL, ingress=[]),
                                                policy("allow", "x", ALL, ingress=[{}])], lambda s, d, p, t: True),
    Case("the same on the way out", [policy("deny", "x", ALL, egress=[]),
                                     policy("allow", "x", ALL, egress=[{}])], lambda s, d, p, t: True),
    Case("egress of one Pod", [policy("out", "x", X_A, egress=[])], lambda s, d, p, t: s != "x/a"),
    Case("egress to a Pod elsewhere", [policy("out", "x", X_A, egress=peers(
        {"namespaceSelector": ns("y"), "podSelector": pod("a")}, key="to"))],
         lambda s, d, p, t: s != "x/a" or d == "y/a"),
    Case("denied on the client's side, whatever the server allows", [
        policy("server", "y", X_A, ingress=peers({"namespaceSelector": ns("x")})),
        policy("client", "x", X_A, egress=peers({"podSelector": pod("b")}, key="to"))],
         lambda s, d, p, t: (d != "y/a" or s.startswith("x/")) and (s != "x/a" or d == "x/b")),
    Case("both directions in one policy", [policy(
        "both", "x", X_A, ingress=peers({"namespaceSelector": ns("y")}), egress=[{"ports": [port(80)]}])],
         lambda s, d, p, t: (d != "x/a" or s.startswith("y/")) and (s != "x/a" or (p, t) == (80, "TCP"))),
    Case("egress to a CIDR", [policy("cidr", "x", X_A, egress=peers({"ipBlock": {"cidr": "10.1.2.0/24"}}, key="to"))],
         lambda s, d, p, t: s != "x/a" or d.startswith("y/")),
    Case("egress to a CIDR except a part", [policy("cidr", "x", X_A, egress=peers(
        {"ipBlock": {"cidr": "10.1.0.0/16", "except": ["10.1.2.2/31", "10.1.3.0/24"]}}, key="to"))],
         lambda s, d, p, t: s != "x/a" or d in ("x/b", "x/c", "y/a")),
    Case("what one policy excepts another may allow", [
        policy("one", "x", X_A, egress=peers({"ipBlock": {"cidr": "10.1.0.0/16", "except": ["10.1.3.0/24"]}},
                                             key="to")),
        policy("two", "x", X_A, egress=peers({"ipBlock": {"cidr": "10.1.3.1/32"}}, key="to"))],
         lambda s, d, p, t: s != "x/a" or not d.startswith("z/") or d == "z/a"),
    Case("ingress from a CIDR", [policy("cidr", "x", X_A, ingress=peers({"ipBlock": {"cidr": "10.1.2.2/32"}}))],
         _into("x/a", "y/b")),
    Case("a policy is about its own namespace only", [policy("deny", "y", X_A, ingress=[])], _into("y/a")),
    Case("a policy that selects nobody", [policy("deny", "x", pod("nobody"), ingress=[], egress=[])],
         lambda s, d, p, t: True),
    # Recipes that are not above.
    Case("recipe 4: deny from other namespaces", [policy("own", "y", ALL, ingress=peers({"podSelector": {}}))],
         _into("y/", "y/")),
    Case("recipe 11: deny egress but DNS", [policy("dns", "x", X_A, egress=[{"ports": [port(80, "UDP"), port(80)]}])],
         lambda s, d, p, t: s != "x/a" or p == 80),
    Case("recipe 12: limit an application", [policy("api", "x", X_A, ingress=peers(
        {"podSelector": pod("b")}, {"namespaceSelector": ns("z")}, ports=[port(80)]))],
         lambda s, d, p, t: d != "x/a" or ((s == "x/b" or s.startswith("z/")) and (p, t) == (80, "TCP"))),
    Case("recipe 14: no outside traffic", [policy("inside", "x", ALL, egress=peers({"namespaceSelector": {}},
                                                                                   key="to"))],
         lambda s, d, p, t: True),
]
