"""Checks of lab16: network policies (the talk's page 98).

Every exercise has a policy, mostly also a Pod, of its own, so all can be right at the end.  Nothing is believed of a
policy's text alone: what must pass is tried and has to pass, what must not is tried and has to time out.  The text only
helps to say which mistake it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kitlib.checks.framework import Wrong, exercise
from kitlib.checks.policies import pod_address, policy, ports, prove, resolves
from kitlib.checks.world import World

TITLE = "Network policies: who may talk to whom"
MINUTES = 100
NAMESPACE = "lab16"

OPS, GUESTS, SHOP = "lab16-ops", "lab16-guests", "lab16-shop"
MONITOR, INTERN, IMPOSTOR = f"{OPS}/monitor", f"{OPS}/intern", f"{GUESTS}/monitor"
HTTP, METRICS, SQL = 8080, 9090, 5432
PASSES, TIMES_OUT, REFUSED = "passes", "times out", "is refused"
DEFAULT_DENY = "Somebody who should not be let in still is. Is default-deny of exercise 2 there, and untouched?"

Rules = list[dict[str, Any]]

OPEN = {
    "visitor → web:8080": (PASSES, "Nobody has forbidden anything yet."),
    "visitor → db:5432": (PASSES, "A database has no door of its own in a Pod network: that is why page 98 exists."),
    "monitor, of another namespace → db:5432": (
        PASSES, "A namespace is a room for names, not a wall: addresses do not know it."),
    "visitor → web:81, where nobody listens": (
        REFUSED, "The packet arrives, and web's kernel says at once that nobody is there. A time-out would mean that "
                 "it did *not* arrive."),
}


@exercise()
def predict_open(world: World) -> None:
    """Predict who reaches whom before there is any policy"""
    given = world.answer("open", {way: {PASSES, TIMES_OUT, REFUSED} for way in OPEN})
    for way, (right, hint) in OPEN.items():
        if given[way] != right:
            raise Wrong(f"{way}: not {given[way]!r}", hint, actual=given[way])


@exercise(points=2)
def default_deny(world: World) -> None:
    """Nobody gets into lab16 but by a rule"""
    spec = policy(world, "default-deny")
    if _conditions(spec["podSelector"]):
        raise Wrong("default-deny is about some Pods only", "The empty selector, `{}`, means every Pod of the "
                    "namespace, also those that come tomorrow.", expected={}, actual=spec["podSelector"])
    if "Ingress" not in spec["policyTypes"]:
        raise Wrong("default-deny says nothing about who may come in", "`policyTypes` names the directions in which it "
                    "isolates. In is one, out is the other.", expected=["Ingress"], actual=spec["policyTypes"])
    if spec.get("ingress"):
        raise Wrong("default-deny has a rule, and a rule *allows*", "`- {}` is a rule without conditions: it lets "
                    "everybody in. To allow nothing, have no rule.", expected=[], actual=spec["ingress"])
    if "Egress" in spec["policyTypes"]:
        raise Wrong("now they may not speak either", "Only the way in, for now. What a forbidden way out costs is "
                    "exercise 8.", expected=["Ingress"], actual=spec["policyTypes"])
    ways = [("visitor", "db", SQL), ("visitor", "api", HTTP), (IMPOSTOR, "web", HTTP), (MONITOR, "db", SQL)]
    hint = "A policy that allows it is left over: `kit.policy(source=…, to=…)` names it."
    prove(world, [("visitor", MONITOR, HTTP)], ways, {**dict.fromkeys(ways, hint), ("visitor", MONITOR, HTTP):
          "default-deny belongs into lab16 only; the other namespaces stay open."})  # fmt: skip


@exercise(points=2, after=default_deny)
def by_label(world: World) -> None:
    """api answers web on port 8080, and nobody else"""
    spec = policy(world, "api")
    if (spec["podSelector"].get("matchLabels") or {}).get("app") == "web":
        raise Wrong("the policy protects web", "`spec.podSelector` is whose door it is; `from` is who may knock. It is "
                    "api's door.", expected={"app": "api"}, actual=spec["podSelector"].get("matchLabels"))
    prove(world, [("web", "api", HTTP)], [("visitor", "api", HTTP), ("db", "api", HTTP), ("web", "api", METRICS)], {
        ("web", "api", HTTP): "web knocks on api's door in vain. `kit.policy(source='web', to='api', port=8080)` says "
                              "what each rule misses.",
        ("web", "api", METRICS): "api has a second port, 9090, that is none of web's business: a rule without "
                                 "`ports` means all of them.",
        ("visitor", "api", HTTP): "`podSelector: {}` in `from` is every Pod of this namespace. Who shall it be?",
        ("db", "api", HTTP): "One label, one value: app=web.",
    })


@exercise(points=2, after=default_deny)
def pods_port(world: World) -> None:
    """db answers api through its Service, and nobody else"""
    spec = policy(world, "db")
    said = world.answer("db_port", {"80", "5432"})
    if 80 in ports(spec, "ingress"):
        raise Wrong("the policy names the Service's port", "The Service's address is translated before any policy "
                    "looks: what arrives at the Pod has the Pod's port. `kubectl get endpointslices` shows it.",
                    expected="the Pod's port", actual=ports(spec, "ingress"))
    prove(world, [("api", "db", SQL)], [("visitor", "db", SQL), ("web", "db", SQL)], {
        ("api", "db", SQL): "Is it TCP, the Pod's port, and app=api? The port has a name, too: `sql`.",
        ("visitor", "db", SQL): "Everybody gets in. `from` says who may; without it, anybody may.",
        ("web", "db", SQL): "web is to ask api, not the database: who stands in `from`?",
    })
    if said != "5432":
        raise Wrong("the policy is right, the prediction is not (any more)", "Which port did you write into the policy "
                    "that works? Correct your answer; that is what a prediction is for.", actual=said)


@exercise(points=3, after=default_deny)
def and_or(world: World) -> None:
    """api's metrics are for ops' monitor only"""
    spec = policy(world, "api-metrics")
    found = [peer for rule in spec.get("ingress") or () for peer in rule.get("from") or ()]
    alone = "An intern of ops got in: a namespaceSelector alone is *every* Pod of those namespaces."
    if len(found) > 1:
        alone = ("An intern of ops got in. Count the dashes under `from`: each begins a peer of its own, and any of "
                 "them will do. Two conditions on *one* peer stand under one dash.")
    foreign = "Somebody called app=monitor in another namespace got in: anybody may give a Pod that label."
    own = "A podSelector alone looks in the policy's own namespace, and there is no monitor in lab16."
    named = "No namespace has the label that is asked for: `kubectl get namespaces --show-labels`."
    prove(world, [(MONITOR, "api", METRICS)],
          [(INTERN, "api", METRICS), (IMPOSTOR, "api", METRICS), ("web", "api", METRICS), (MONITOR, "api", HTTP)], {
              (MONITOR, "api", METRICS): named if any(p.get("namespaceSelector") for p in found) else own,
              (INTERN, "api", METRICS): alone, (IMPOSTOR, "api", METRICS): foreign,
              ("web", "api", METRICS): DEFAULT_DENY,
              (MONITOR, "api", HTTP): "The monitor may read metrics on 9090; 8080 is for web.",
          })  # fmt: skip


@exercise(points=2, after=default_deny)
def additive(world: World) -> None:
    """Predict what a second policy that allows nothing does, and prove it"""
    given = world.answer("additive", {"web → api:8080": {PASSES, TIMES_OUT}, "visitor → api:8080": {PASSES, TIMES_OUT}})
    spec = policy(world, "api-closed")
    if (spec["podSelector"].get("matchLabels") or {}).get("app") != "api":
        raise Wrong("api-closed is not about api", "It selects nobody, or somebody else, and so it proves nothing.",
                    expected={"app": "api"}, actual=spec["podSelector"])
    if spec.get("ingress") or "Ingress" not in spec["policyTypes"]:
        raise Wrong("api-closed is to allow nothing", "policyTypes Ingress, and no rule.", expected=[],
                    actual=spec.get("ingress"))
    if given["web → api:8080"] != PASSES:
        raise Wrong("a policy that allows nothing takes nothing away", "There is no rule that denies. What may pass is "
                    "the *union* of what all policies allow, and a union with nothing is what it was.",
                    actual=given["web → api:8080"])
    if given["visitor → api:8080"] != TIMES_OUT:
        raise Wrong("one more policy opens no door that has no rule", "Which policy would let visitor in? Look through "
                    "`kubectl get networkpolicies`.", actual=given["visitor → api:8080"])
    prove(world, [("web", "api", HTTP)], [("visitor", "api", HTTP)], {
        ("web", "api", HTTP): "The policy `api` of exercise 3 has to stay: this one stands beside it.",
        ("visitor", "api", HTTP): DEFAULT_DENY})  # fmt: skip


@exercise(points=2)
def cidr(world: World) -> None:
    """courier may go anywhere but to one address"""
    spec = policy(world, "courier")
    address = pod_address(world, IMPOSTOR)
    if "Egress" not in spec["policyTypes"]:
        raise Wrong("courier's way out is not limited", "It is a rule about egress, but `policyTypes` does not name "
                    "that direction, so nobody looks at it.", expected=["Egress"], actual=spec["policyTypes"])
    blocks = [p["ipBlock"] for rule in spec.get("egress") or () for p in rule.get("to") or () if "ipBlock" in p]
    only = "An `ipBlock` *allows*. What is to be left out stands under `except`, and the block is all the rest."
    open_ = "courier still reaches it."
    if len(blocks) > 1:
        open_ += " `except` takes away from its own block only; another block, or rule, may give it back."
    elif blocks and not blocks[0].get("except"):
        open_ += " The block has no `except`."
    else:
        open_ += f" Is {address}/32 what stands under `except`?"
    if not blocks and not any(not rule.get("to") for rule in spec.get("egress") or ()):
        only = "Addresses are what an `ipBlock` is for: 0.0.0.0/0 is all of them."
    prove(world, [("courier", MONITOR, HTTP), ("courier", INTERN, HTTP), ("visitor", IMPOSTOR, HTTP)],
          [("courier", IMPOSTOR, HTTP)], {
              ("courier", MONITOR, HTTP): only, ("courier", INTERN, HTTP): only,
              ("visitor", IMPOSTOR, HTTP): "Only courier is to be limited: whom does `podSelector` select?",
              ("courier", IMPOSTOR, HTTP): open_})  # fmt: skip


@exercise(points=3, after=default_deny)
def dns_trap(world: World) -> None:
    """clerk finds web by its name, and reaches nothing else"""
    given = world.answer("trap", {"by address": {PASSES, TIMES_OUT, "finds no such host"},
                                  "by name": {PASSES, TIMES_OUT, "finds no such host"}})
    spec = policy(world, "clerk")
    if "Egress" not in spec["policyTypes"]:
        raise Wrong("clerk may go anywhere", "The exercise is to mend the policy, not to take it away: it has to "
                    "isolate clerk for egress.", expected=["Egress"], actual=spec["policyTypes"])
    rules: Rules = spec.get("egress") or []
    wide = "clerk gets further than to web. A rule without `to` leads everywhere; with ports, to those everywhere."
    prove(world, [("clerk", "web", HTTP)], [("clerk", MONITOR, HTTP), ("clerk", INTERN, HTTP)], {
        ("clerk", "web", HTTP): "The rule that leads to web has to stay: app=web, port 8080. And web's own policy, "
                                "web-door, too: it takes both.",
        ("clerk", MONITOR, HTTP): wide, ("clerk", INTERN, HTTP): wide})  # fmt: skip
    name = f"web.{world.namespace}.svc.cluster.local."  # with the last dot it is asked once
    if not world.eventually(lambda: resolves(world, "clerk", name), within=3.0):
        raise Wrong("clerk still finds no names", _dns_hint(rules), expected=name, actual="no answer")
    if any(not rule.get("to") for rule in rules):
        raise Wrong("DNS works, but to any server in the world", "A rule without `to` opens its port everywhere; names "
                    "can carry secrets out, too. Only kube-dns, in kube-system.", actual=rules)
    if given != {"by address": PASSES, "by name": "finds no such host"}:
        raise Wrong("the policy is mended, but that is not what happened before", "What did the two cells say, the one "
                    "with the address and the one with the name? Correct your answer.", actual=given)


def _dns_hint(rules: Rules) -> str:
    asks = [rule for rule in rules if 53 in [port.get("port") for port in rule.get("ports") or ()]]
    if not asks:
        return "Names are asked on port 53. No rule leads there yet."
    for rule in asks:
        if any("matchLabels" in (p.get("podSelector") or {}) and p["podSelector"]["matchLabels"].get("app") == "web"
               for p in rule.get("to") or ()):
            return ("That rule opens port 53 *of web*: `ports` belong to the `to` of their own rule. DNS needs a rule "
                    "of its own.")
        if any("namespaceSelector" not in peer and "ipBlock" not in peer for peer in rule.get("to") or ()):
            return "A podSelector alone looks in lab16. kube-dns lives in the namespace kube-system: name it, too."
    kinds = {port.get("protocol", "TCP") for rule in asks for port in rule["ports"] if port.get("port") == 53}
    if "UDP" not in kinds:
        return "Port 53, yes; but names are asked by UDP first, and `protocol` is TCP unless you say otherwise."
    return "Does kube-dns have the labels you ask for? k8s-app=kube-dns, in kubernetes.io/metadata.name=kube-system."


@exercise(points=3, after=default_deny)
def detective(world: World) -> None:
    """till lets visitor in, as its policy meant to"""
    policy(world, "till")
    why = _first_trouble(policy(world, "till"))
    prove(world, [("visitor", "till", HTTP)], [("web", "till", HTTP), (IMPOSTOR, "till", HTTP)], {
        ("visitor", "till", HTTP): why,
        ("web", "till", HTTP): "Now everybody of lab16 gets in. Mend what is wrong, and leave what is right.",
        (IMPOSTOR, "till", HTTP): "Now the whole world gets in. Mend what is wrong, and leave what is right."})


def _first_trouble(spec: Mapping[str, Any]) -> str:
    if (spec["podSelector"].get("matchLabels") or {}).get("app") != "till":
        return "The policy selects nobody called till. Compare podSelector with `kubectl get pods --show-labels`."
    labels = [(peer.get("podSelector") or {}).get("matchLabels") for rule in spec.get("ingress") or ()
              for peer in rule.get("from") or ()]
    if {"app": "visitor"} not in labels:
        return "Who is it that may come in? Compare `from`, letter by letter, with visitor's labels."
    if not {HTTP, "http", None} & set(ports(spec, "ingress") or [None]):
        return "The right guest at the wrong door: `kit.policy(source='visitor', to='till')` says which port it is."
    return "`kit.policy(source='visitor', to='till')` says what each rule misses."


@exercise(points=4)
def shop(world: World) -> None:
    """A whole shop: nobody talks to anybody but as drawn"""
    front, back, store, spy = (f"{SHOP}/{name}" for name in ("front", "back", "store", "spy"))
    passing = [(MONITOR, front, HTTP), (front, back, HTTP), (back, store, HTTP)]
    inside = [(spy, front, HTTP), (spy, back, HTTP), (spy, store, HTTP), (front, store, HTTP), (back, front, HTTP),
              (store, back, HTTP), (store, front, HTTP), (MONITOR, back, HTTP), (IMPOSTOR, front, HTTP)]
    outside = [(front, MONITOR, HTTP), (spy, MONITOR, HTTP), (store, INTERN, HTTP)]
    hints = dict.fromkeys(passing, "It takes two keys: the source's egress and the destination's ingress. "
                                   "`kit.policy(source=…, to=…)` shows which one is missing.")
    hints |= dict.fromkeys(inside, "That way is not on the drawing. Begin with a policy that selects everybody and "
                                   "allows nothing.")
    hints |= dict.fromkeys(outside, "Somebody of the shop speaks to the outside: a thief would carry the data out that "
                                    "way. Isolate all of them for egress, too.")
    hints[MONITOR, front, HTTP] = "The door of the shop: ops' monitor (that one only) may see front on port 8080."
    hints[front, store, HTTP] = "front may speak to back, not to store: a rule for everybody's egress is too wide."
    hints[IMPOSTOR, front, HTTP] = "A monitor that is not of ops got in. Remember exercise 5."
    prove(world, passing, inside + outside, hints)
    if not world.eventually(lambda: resolves(world, front, f"back.{SHOP}.svc.cluster.local."), within=3.0):
        raise Wrong("front does not find back by its name", "The trap of exercise 8: who may not speak to anybody may "
                    "not ask for names either.", expected=f"back.{SHOP}", actual="no answer")


def _conditions(selector: Mapping[str, Any]) -> bool:
    return bool(selector.get("matchLabels") or selector.get("matchExpressions"))
