"""Checks of lab15: Ingress, layer 7, TLS and the Gateway API (the talk's pages 96 and 97).

What counts is real traffic: each check asks the ingress controller as a client would, for the exercise's own hosts.
"""

from __future__ import annotations

from typing import Any

from kitlib.checks.framework import Wrong, exercise
from kitlib.checks.ingress_traffic import (
    CLASS,
    HEARSAY_SECONDS,
    INGRESSES,
    ask,
    backends_of,
    encrypted,
    find_ingress,
    host_rule,
    house,
    reach,
    said,
    served,
)
from kitlib.checks.world import World
from kitlib.traffic.door import Door, names_of

TITLE = "Ingress: one door, many houses"
MINUTES = 90
NAMESPACE = "lab15"

GATEWAYS, ROUTES = "gateways.gateway.networking.k8s.io", "httproutes.gateway.networking.k8s.io"

LAYERS = {
    "the port": ("L4", "A Service has a port in its manifest. On which layer does a Service work?"),
    "the client's address": ("L4", "It is in the head of every packet: nobody has to read the request for it."),
    "the host": ("L7", "It is a line of the request (`Host: …`). Who does not read the request, does not know it."),
    "the path": ("L7", "It is in the request's first line: `GET /this`. Packets have no paths."),
    "a cookie": ("L7", "A cookie is a header of the request. Does a Service look into requests?"),
    "which Pods are ready": ("L4", "It is not in the request at all! An EndpointSlice says it, and kube-proxy reads "
                                   "those for every Service."),
}
PATHS = {
    "/": ("shop", "Only one of the three rules fits the bare slash."),
    "/cart/7": ("cart", "Two Prefix rules fit; the longer one wins."),
    "/cartoon": ("shop", "Element by element: is `cart` the same element as `cartoon`?"),
    "/Cart": ("shop", "Paths are case-sensitive: a big letter is another letter."),
    "/robots.txt": ("wiki", "Exact means exactly this, and here it is exactly this."),
    "/robots.txt/old": ("shop", "Exact allows nothing behind it. Which rule takes everything that is left?"),
}
MISTAKES = {
    ("/robots.txt/old", "wiki"): "This must not reach wiki: which pathType allows nothing behind the path?",
    ("/cart/7", "shop"): "With Exact only `/cart` itself reaches cart. What about what lies below it?",
    ("/", ""): "No Pod answered: `kit.passage` with this URL shows where it ended. Is there a rule for `/`?",
}  # (path, who answered) → hint
HOUSES = frozenset(("shop", "cart", "wiki"))
CODES = {
    "empty": (503, "Its Service is known, but nobody is at home. Which code says *service unavailable, try later*?"),
    "deaf": (502, "A Pod was really asked there, and gave no answer: which code is about a bad *gateway*?"),
    "nowhere": (404, "Its rule leads to a Service that does not exist, so for Traefik there is no rule."),
    "stranger": (404, "No rule at all, and nobody to ask: what does a web server say to that?"),
}


def _guess(world: World, name: str, table: dict[str, tuple[Any, str]], form: Any) -> None:
    given = world.answer(name, dict.fromkeys(table, form))
    for key, (right, hint) in table.items():
        if given[key] != right:
            raise Wrong(f"not so with {key}", hint, actual=given[key])


@exercise()
def predict_layers(world: World) -> None:
    """Predict what layer 4 can decide by, and what only layer 7 can"""
    _guess(world, "layers", LAYERS, frozenset(("L4", "L7")))


@exercise(points=2)
def first_ingress(world: World) -> None:
    """shop.example leads to shop"""
    ingress = served(world, "shop")
    paths = host_rule(ingress, "shop.example")
    if set(paths.values()) != {"shop"}:
        raise Wrong("the rule leads to another Service", "`backend.service.name` is the Service's name.",
                    expected="shop", actual=sorted(paths.values()))
    kinds = {path["pathType"] for rule in ingress["spec"]["rules"]
             for path in (rule.get("http") or {}).get("paths") or ()}
    reach(world, "http://shop.example/tea", "shop",
          "Exact is for one path only. Here *any* path shall do: which pathType is that?" if "Exact" in kinds else
          "Which port has the Service (`kubectl get service shop`), and which one does the rule name?")


@exercise()
def predict_paths(world: World) -> None:
    """Predict which of three rules wins"""
    _guess(world, "paths", PATHS, HOUSES)


@exercise(points=2)
def paths(world: World) -> None:
    """Three rules for town.example, and real requests go where they should"""
    ingress = served(world, "town")
    host_rule(ingress, "town.example")
    for path, (wanted, hint) in PATHS.items():
        answer = ask(world, "http://town.example" + path, wanted)
        if house(answer) != wanted:
            better = MISTAKES.get((path, house(answer)), hint)
            raise Wrong(f"http://town.example{path} does not reach {wanted}", better, expected=wanted,
                        actual=said(answer))


@exercise(points=2)
def what_the_pod_sees(world: World) -> None:
    """What arrives at a Pod behind the controller"""
    given = world.answer("seen", {"connection_from": str, "host": str, "forwarded_for": str})
    lie = {"X-Forwarded-For": "203.0.113.7", "Accept": "application/json"}
    report = reach(world, "http://mirror.example/", "cart", "Run the cell that makes the Ingress mirror once more.",
                   headers=lie).json()
    if given["host"] != "mirror.example":
        raise Wrong("that is not the host that the Pod was asked for", "Look at `headers` in the report, at `Host`: "
                    "the controller hands on what the client wanted.", actual=given["host"])
    if given["forwarded_for"] == "203.0.113.7":
        raise Wrong("that is what you sent, not what arrived", "Look at the report's `headers`. If the lie had worked, "
                    "anybody could be anybody.", expected=report["headers"].get("X-Forwarded-For"),
                    actual=given["forwarded_for"])
    if given["connection_from"] != report["client"]:
        swapped = given["connection_from"] == report["headers"].get("X-Forwarded-For")
        raise Wrong("the Pod's connection did not come from there",
                    "That is whom the controller saw. Whom did the *Pod* see? The report calls it `client`." if swapped
                    else "The report calls it `client`; compare it with `kubectl -n traefik get pods -o wide`.",
                    actual=given["connection_from"])
    if given["forwarded_for"] != report["headers"].get("X-Forwarded-For"):
        raise Wrong("another X-Forwarded-For arrives at the Pod", "Copy it from the report's `headers`.",
                    actual=given["forwarded_for"])


@exercise(points=2)
def tls(world: World) -> None:
    """https://safe.example shows its own certificate"""
    encrypted(world, "safe", "safe-tls", "safe.example", "shop")


@exercise(points=2)
def two_certificates(world: World) -> None:
    """Two hosts, two certificates, one address"""
    encrypted(world, "wiki", "wiki-tls", "wiki.example", "wiki")
    given = world.answer("stranger", str)
    shown = names_of(Door(world.client).certificate("nobody-at-all.example"))[0]
    if given != shown:
        raise Wrong("a stranger is shown another certificate", "`.passage.certificate[0]` of a passage to a host that "
                    "no rule names, over https.", actual=given)


@exercise(points=2)
def status_codes(world: World) -> None:
    """404, 502 or 503, and the deaf Service hears again"""
    given = world.answer("codes", dict.fromkeys(CODES, int))
    for name, (right, clue) in CODES.items():
        if given[name] == 200:
            hint = "Measure it before you repair it." if right != 404 else \
                "Is there a default backend by now (exercise 10)? Delete it, measure, make it again."
            raise Wrong(f"somebody answered at {name}.example", hint, actual=200)
        if given[name] != right:
            raise Wrong(f"{name}.example does not get {given[name]}", clue, actual=given[name])
    backends = host_rule(find_ingress(world, "broken"), "deaf.example")
    if "deaf" not in backends.values():
        raise Wrong("the rule no longer leads to the Service deaf", "The rule was right. Repair the *Service*: where "
                    "does it send to, and where do shop's Pods listen?", expected="deaf",
                    actual=sorted(backends.values()))
    reach(world, "http://deaf.example/", "shop", "`kubectl get service deaf -o yaml`: `targetPort` is the container's "
                                                 "port, and kit/echo listens on 8080.")


@exercise(points=2)
def wrong_class(world: World) -> None:
    """The forgotten Ingress is served"""
    ingress = world.get(INGRESSES, "forgotten")
    if ingress is None:
        raise Wrong("the Ingress forgotten is gone", "Repair it, do not remove it: run the cell that makes it once "
                    "more.", actual=[each["metadata"]["name"] for each in world.list(INGRESSES)])
    wanted = ingress["spec"].get("ingressClassName", "")
    if wanted == "nginx":
        second = [each["metadata"]["name"] for each in world.list(INGRESSES)
                  if each["metadata"]["name"] != "forgotten" and backends_of(each, "forgotten.example")]
        raise Wrong("forgotten still waits for a controller that is not there",
                    f"Your {second[0]} works, and the old one still lies about for the next colleague to wonder at: "
                    "repair that one." if second else
                    "Which classes are there? `kubectl get ingressclass`. And which one does it ask for?",
                    expected=CLASS, actual=wanted)
    if wanted and world.get("ingressclasses.networking.k8s.io", wanted, "") is None:
        raise Wrong(f"there is no class {wanted!r}", "Nobody checks that name when you write it. Compare it letter by "
                    "letter with `kubectl get ingressclass`.", expected=CLASS, actual=wanted)
    reach(world, "http://forgotten.example/", "wiki", "The class is right now; the rule should be as it was.")


@exercise(points=2)
def default_backend(world: World) -> None:
    """What is nobody's goes to lost"""
    ingress = served(world, "rest")
    service = ((ingress["spec"].get("defaultBackend") or {}).get("service") or {}).get("name", "")
    if not service:
        raise Wrong("rest has no default backend", "A rule for `/` is a rule; `spec.defaultBackend` stands beside "
                    "`rules` and is for what no rule takes.", expected="spec.defaultBackend",
                    actual=sorted(ingress["spec"]))
    if service != "lost":
        raise Wrong("the default backend is another house", "Strangers shall not end in front of somebody's counter, "
                    "but at the lost-property office.", expected="lost", actual=service)
    reach(world, "http://a-stranger.example/x", "lost", "Which port does the Service lost have, and which one does the "
                                                        "backend name?")


@exercise(points=2)
def fine_print(world: World) -> None:
    """/faq, and nothing else of notice.example, reaches wiki"""
    wanted = {"/faq": "wiki", "/": "shop", "/faq/old": "shop"}

    def look() -> dict[str, str]:
        door = Door(world.client, world.namespace)
        return {path: said(door.ask(f"http://notice.example{path}")) for path in wanted}

    world.eventually(lambda: look() == wanted, within=HEARSAY_SECONDS)
    seen = look()
    if seen == wanted:
        return
    mine = [each for each in world.list(INGRESSES) if backends_of(each, "notice.example")]
    if not mine:
        raise Wrong("no Ingress has a rule for notice.example", "Run the cell that makes the Ingress notice once more.",
                    expected=wanted, actual=seen)
    priority = "traefik.ingress.kubernetes.io/router.priority"
    ranked = [each for each in mine if priority in (each["metadata"].get("annotations") or {})]
    if seen["/faq"] == "wiki":
        path = next(path for path in ("/", "/faq/old") if seen[path] != wanted[path])
        hint = "Only `/faq` itself: which pathType was that?" if path == "/faq/old" and seen[path] == "wiki" else \
            "Everything else must go on as before: the rule for `/` is needed, too."
        raise Wrong(f"now {path} does not reach {wanted[path]}", hint, expected=wanted, actual=seen)
    if not ranked:
        raise Wrong("/faq does not reach wiki", "The longer text still goes first, and no rule of notice.example has a "
                    f"number of its own: where is the annotation `{priority}`?", expected=wanted, actual=seen)
    raise Wrong("/faq does not reach wiki, although there is a priority", "Without the annotation the number is the "
                "length of the rule's text. Is yours greater than that, and is it on the rule for /faq?",
                expected=wanted, actual=seen)


@exercise(points=4)
def gateway(world: World) -> None:
    """The Gateway API: a quarter to fresh, and testers always"""
    gate, route = world.get(GATEWAYS, "gate"), world.get(ROUTES, "canary")
    if gate is None or route is None:
        name = "Gateway gate" if gate is None else "HTTPRoute canary"
        raise Wrong(f"there is no {name}", "What did `kubectl apply` say? Both are of the group "
                    "gateway.networking.k8s.io, version v1.")
    if not world.eventually(lambda: _is(world.get(GATEWAYS, "gate"), "Programmed")):
        raise Wrong("the Gateway is not programmed", "`kubectl describe gateway gate` has the reason in its "
                    "conditions. Which class and which port does it name? Traefik listens on 80 and 443.",
                    actual=_conditions(world.get(GATEWAYS, "gate") or {}))
    door = Door(world.client, world.namespace)
    if not world.eventually(lambda: door.ask("http://canary.example/").status not in (0, 404)
                            and house(door.ask("http://canary.example/")) in ("shop", "fresh")):
        raise Wrong("canary.example is not served by your route", "A route names its Gateway in `parentRefs` and its "
                    "host in `hostnames`; `kubectl describe httproute canary` says whether the Gateway took it.",
                    expected="shop or fresh", actual=said(door.ask("http://canary.example/")))
    # Traefik may still be hearing of the second Service's Pods, or of a rule: only what stays wrong is wrong.
    shares: list[int] = []

    def quarter() -> bool:
        shares.append(sum(house(door.ask("http://canary.example/")) == "fresh" for _ in range(40)))
        return 4 <= shares[-1] <= 16

    if not world.eventually(quarter, within=HEARSAY_SECONDS):
        raise Wrong(f"of 40 requests {shares[-1]} reached fresh", "A quarter of 40 is about 10. The numbers at "
                    "`weight` are parts of their sum: 3 and 1 make four parts.", expected="about 10", actual=shares[-1])
    world.evidence["of 40 to fresh"] = shares[-1]
    testers: list[int] = []

    def all_fresh() -> bool:
        testers.append(sum(house(door.ask("http://canary.example/", headers={"X-Tester": "yes"})) == "fresh"
                           for _ in range(8)))
        return testers[-1] == 8

    if not world.eventually(all_fresh, within=HEARSAY_SECONDS):
        raise Wrong(f"of 8 testers only {testers[-1]} reached fresh", "A rule of its own, with `matches` and `headers` "
                    "(name X-Tester, value yes) and one backend.", expected=8, actual=testers[-1])


def _conditions(obj: dict[str, Any]) -> list[dict[str, Any]]:
    return list((obj.get("status") or {}).get("conditions") or ())


def _is(obj: dict[str, Any] | None, kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in _conditions(obj or {}))
