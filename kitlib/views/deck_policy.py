"""Network policies on slides: the town of chapter 16, before and after each policy.  `!figure policy deny`

Which connections are allowed is written down here, as the figure gets it from `kit policy`; a test asks the semantics
(network/policy) about every one of them.
"""

from __future__ import annotations

from typing import Any

from kitlib.views import policy_svg

Policy = dict[str, Any]
PODS = {"web": "lab16", "api": "lab16", "db": "lab16", "visitor": "lab16", "monitor": "lab16-ops",
        "intern": "lab16-ops"}  # fmt: skip
PORTS = {"web": (8080,), "api": (8080, 9090), "db": (5432,), "visitor": (8080,), "monitor": (8080,), "intern": (8080,)}
NAMESPACES = {"lab16": {}, "lab16-ops": {"team": "ops"}}
OUTSIDE = ("monitor", "intern")


def _policy(name: str, selector: dict[str, Any], peers: list[dict[str, Any]] | None = None, port: int = 0,
            side: str = "Ingress") -> Policy:
    """peers None: no rule at all."""
    key = "from" if side == "Ingress" else "to"
    rules = [] if peers is None else [{key: peers, **({"ports": [{"port": port}]} if port else {})}]
    return {"metadata": {"name": name, "namespace": "lab16"},
            "spec": {"podSelector": selector, "policyTypes": [side], side.lower(): rules}}


def _app(name: str) -> dict[str, Any]:
    return {"matchLabels": {"app": name}}


_OPS, _MONITOR = {"matchLabels": {"team": "ops"}}, _app("monitor")
DENY = _policy("default-deny", {})
LABEL = _policy("api", _app("api"), [{"podSelector": _app("web")}], 8080)
AND = _policy("api-metrics", _app("api"), [{"namespaceSelector": _OPS, "podSelector": _MONITOR}], 9090)
OR = _policy("api-metrics", _app("api"), [{"namespaceSelector": _OPS}, {"podSelector": _MONITOR}], 9090)
EGRESS = _policy("visitor", _app("visitor"), [{"podSelector": _app("web")}], 8080, "Egress")

# step → (policies, what may still come into lab16: (from, to, port)); the rest of lab16 is closed from `deny` on
STEPS: dict[str, tuple[list[Policy], set[tuple[str, str, int]]]] = {
    "open": ([], set()),
    "deny": ([DENY], set()),
    "label": ([DENY, LABEL], {("web", "api", 8080)}),
    "and": ([DENY, LABEL, AND], {("web", "api", 8080), ("monitor", "api", 9090)}),
    "or": ([DENY, LABEL, OR], {("web", "api", 8080), ("monitor", "api", 9090), ("intern", "api", 9090)}),
    "egress": ([EGRESS], set()),
}


def allowed(step: str, source: str, target: str, port: int) -> bool:
    policies, doors = STEPS[step]
    if EGRESS in policies:
        return source != "visitor" or target == "web"
    return not policies or target in OUTSIDE or (source, target, port) in doors


def matrix(step: str) -> dict[str, Any]:
    """As Reachability.matrix gives it."""
    policies, _ = STEPS[step]
    key = {name: f"{namespace}/{name}" for name, namespace in PODS.items()}
    cells = [{"from": key[a], "to": key[b], "ip": "", "port": port, "protocol": "TCP",
              "allowed": allowed(step, a, b, port)} for a in PODS for b in PODS if a != b for port in PORTS[b]]
    pods = [{"key": key[name], "namespace": namespace, "name": name, "ip": "", "labels": {"app": name}}
            for name, namespace in PODS.items()]
    return {"namespaces": NAMESPACES, "pods": pods, "cells": cells, "policies": [_shown(p, key) for p in policies]}


def _shown(policy: Policy, key: dict[str, str]) -> dict[str, Any]:
    spec = policy["spec"]
    app = (spec["podSelector"].get("matchLabels") or {}).get("app", "")
    chosen = [key[name] for name, namespace in PODS.items() if namespace == "lab16" and app in ("", name)]
    sides = {side: [_rule(rule) for rule in spec[side]] if side in spec else None for side in ("ingress", "egress")}
    return {"name": f"lab16/{policy['metadata']['name']}", "selects": chosen, **sides}


def _rule(rule: dict[str, Any]) -> str:
    peers = rule.get("from") or rule.get("to") or []
    who = ", or ".join(" and ".join(f"{kind} {key}={value}" for kind, field in (("namespace", "namespaceSelector"),
                                                                                  ("Pod", "podSelector"))
                                    for key, value in ((peer.get(field) or {}).get("matchLabels") or {}).items())
                       for peer in peers)
    return f"{'from' if 'from' in rule else 'to'} {who}, on {rule['ports'][0]['port']}"


def policy(step: str = "open") -> str:
    """The figure without its table; where doors of lab16 are the point, only ways into it are drawn."""
    shown = matrix(step)
    if DENY not in STEPS[step][0]:
        return policy_svg.render(shown, {}, measured=False, caption="an arrow: may connect")
    shown["cells"] = [cell for cell in shown["cells"] if cell["to"].startswith("lab16/")]
    return policy_svg.render(shown, {}, measured=False, caption="an arrow: may connect (drawn: ways into lab16 only)")
