"""Mistakes in lab15."""

from __future__ import annotations

import json


def guess(name: str, right: dict, **changes: str) -> str:
    """A prediction with some answers changed; changes are by position: _2="L7"."""
    keys = list(right)
    return f"lab.answer({name!r}, {right | {keys[int(k[1:])]: v for k, v in changes.items()}!r})"


LAYERS = {"the port": "L4", "the client's address": "L4", "the host": "L7", "the path": "L7", "a cookie": "L7",
          "which Pods are ready": "L4"}
PATHS = {"/": "shop", "/cart/7": "cart", "/cartoon": "shop", "/Cart": "shop", "/robots.txt": "wiki",
         "/robots.txt/old": "shop"}


def path(where: str, service: str, kind: str = "Prefix", port: int = 80) -> dict:
    return {"path": where, "pathType": kind, "backend": {"service": {"name": service, "port": {"number": port}}}}


def apply(obj: dict) -> str:
    return f"kit.kubectl('apply -f -', stdin={json.dumps(obj)!r})\n"


def ingress(name: str, host: str, *paths: dict, annotations: dict | None = None, **spec: object) -> str:
    rule = ({"host": host} if host else {}) | {"http": {"paths": list(paths)}}
    return apply({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                  "metadata": {"name": name, "annotations": annotations or {}},
                  "spec": ({"rules": [rule]} if paths else {}) | spec})


def secret(name: str, host: str, kind: str = "tls") -> str:
    made = f'certificate, key = kit.certificate("{host}")\n'
    if kind == "generic":
        return made + f'kit.kubectl(f"create secret generic {name} --from-file=tls.crt={{certificate}} ' \
                      '--from-file=tls.key={key}")\n'
    return made + f'kit.kubectl(f"create secret tls {name} --cert={{certificate}} --key={{key}}")\n'


def lock(name: str, host: str, wanted: str, secret_name: str) -> str:
    return ingress(name, host, path("/", wanted), tls=[{"hosts": [host], "secretName": secret_name}])


STRANGER = 'lab.answer("stranger", kit.passage("https://stranger.example/").passage.certificate[0])\n'
CODES = {"empty": 503, "deaf": 502, "nowhere": 404, "stranger": 404}


def codes(**changes: int) -> str:
    return f'lab.answer("codes", {CODES | changes!r})\n'


HEAL = apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "deaf"},
              "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 8080}]}})
SEEN = """
import time
end = time.monotonic() + 10
while who("http://mirror.example/") != "cart" and time.monotonic() < end:
    time.sleep(0.1)
got = kit.curl("http://mirror.example/?format=json", headers={"X-Forwarded-For": "203.0.113.7"}, show=False).json()
seen = {"connection_from": got["client"], "host": got["headers"]["Host"],
        "forwarded_for": got["headers"]["X-Forwarded-For"]}
"""
PRIORITY = {"traefik.ingress.kubernetes.io/router.priority": "1000"}
GROUP = {"apiVersion": "gateway.networking.k8s.io/v1"}


def gate(port: int = 80) -> str:
    return apply(GROUP | {"kind": "Gateway", "metadata": {"name": "gate"}, "spec": {
        "gatewayClassName": "traefik", "listeners": [{"name": "web", "port": port, "protocol": "HTTP"}]}})


def canary(shop: int = 3, fresh: int = 1, parent: str = "gate", testers: bool = True) -> str:
    rules = [{"backendRefs": [{"name": "shop", "port": 80, "weight": shop},
                              {"name": "fresh", "port": 80, "weight": fresh}]}]
    if testers:
        rules.insert(0, {"matches": [{"headers": [{"name": "X-Tester", "value": "yes"}]}],
                         "backendRefs": [{"name": "fresh", "port": 80}]})
    return apply(GROUP | {"kind": "HTTPRoute", "metadata": {"name": "canary"}, "spec": {
        "parentRefs": [{"name": parent}], "hostnames": ["canary.example"], "rules": rules}})


WRONG = {
    "predict_layers": {
        "a Service reads the host": (guess("layers", LAYERS, _2="L4"), "does not know it"),
        "packets have paths": (guess("layers", LAYERS, _3="L4"), "Packets have no paths"),
        "readiness is in the request": (guess("layers", LAYERS, _5="L7"), "not in the request at all"),
        "only layer 7 knows the port": (guess("layers", LAYERS, _0="L7"), "A Service has a port"),
    },
    "first_ingress": {
        "another name": (ingress("web", "shop.example", path("/", "shop")), "shows those there are"),
        "for every host": (ingress("shop", "", path("/", "shop")), "Name the host"),
        "Exact instead of Prefix": (
            ingress("shop", "shop.example", path("/", "shop", "Exact")), "which pathType is that"),
        "the container's port": (ingress("shop", "shop.example", path("/", "shop", port=8080)),
                                 "Which port has the Service"),
        "a class that is not there": (
            ingress("shop", "shop.example", path("/", "shop"), ingressClassName="nginx"), "is served by nobody"),
    },
    "predict_paths": {
        "letter by letter": (guess("paths", PATHS, _2="cart"), "the same element"),
        "small and big letters are one": (guess("paths", PATHS, _3="cart"), "another letter"),
        "Exact takes what is below": (guess("paths", PATHS, _5="wiki"), "nothing behind it"),
        "the first rule wins": (guess("paths", PATHS, _1="shop"), "the longer one wins"),
    },
    "paths": {
        "Prefix for robots.txt": (
            ingress("town", "town.example", path("/", "shop"), path("/cart", "cart"), path("/robots.txt", "wiki")),
            "must not reach wiki"),
        "Exact for the cart": (
            ingress("town", "town.example", path("/", "shop"), path("/cart", "cart", "Exact"),
                    path("/robots.txt", "wiki", "Exact")), "what lies below it"),
        "no rule for the rest": (
            ingress("town", "town.example", path("/cart", "cart"), path("/robots.txt", "wiki", "Exact")),
            "Is there a rule for `/`"),
        "another host": (ingress("town", "www.town.example", path("/", "shop")), "letter by letter"),
    },
    "what_the_pod_sees": {
        "believed the lie": (
            SEEN + 'lab.answer("seen", seen | {"forwarded_for": "203.0.113.7"})', "anybody could be anybody"),
        "the controller's visitor, not the Pod's": (
            SEEN + 'lab.answer("seen", seen | {"connection_from": seen["forwarded_for"]})', "Whom did the *Pod* see"),
        "the Pod's own name": (
            SEEN + 'lab.answer("seen", seen | {"host": got["pod"]})', "hands on what the client wanted"),
        "the Service's address": (
            SEEN + 'lab.answer("seen", seen | {"connection_from": kit.kubectl("get service cart -o '
                   'jsonpath={.spec.clusterIP}")})', "compare it with `kubectl -n traefik get pods"),
    },
    "tls": {
        "a Secret of another type": (
            secret("safe-tls", "safe.example", "generic") + lock("safe", "safe.example", "shop", "safe-tls"),
            "several kinds of"),
        "a certificate for somebody else": (
            secret("safe-tls", "shop.example") + lock("safe", "safe.example", "shop", "safe-tls"),
            "a browser compares"),
        "the Secret is not used": (
            secret("safe-tls", "safe.example") + ingress("safe", "safe.example", path("/", "shop")),
            "nobody fetches it"),
        "no Secret": (lock("safe", "safe.example", "shop", "safe-tls"), "create secret tls NAME"),
    },
    "two_certificates": {
        "one certificate for both": (
            secret("wiki-tls", "safe.example") + lock("wiki", "wiki.example", "wiki", "wiki-tls") + STRANGER,
            "a browser compares"),
        "a stranger gets the first one": (
            secret("wiki-tls", "wiki.example") + lock("wiki", "wiki.example", "wiki", "wiki-tls")
            + 'lab.answer("stranger", "safe.example")', "of a passage to a host that no rule names"),
        "the lock is on, the house is wrong": (
            secret("wiki-tls", "wiki.example") + lock("wiki", "wiki.example", "shop", "wiki-tls") + STRANGER,
            "look at the rule behind it"),
    },
    "status_codes": {
        "503 and 502 confused": (codes(empty=502, deaf=503) + HEAL, "nobody is at home"),
        "a missing Service is unavailable": (codes(nowhere=503) + HEAL, "there is no rule"),
        "measured after the repair": (HEAL + codes(deaf=200), "Measure it before you repair it"),
        "not repaired": (codes(), "`targetPort` is the container's port"),
        "the rule changed instead": (
            codes() + ingress("broken", "deaf.example", path("/", "shop")), "Repair the *Service*"),
    },
    "wrong_class": {
        "nothing done": ("...", "Which classes are there"),
        "deleted": ('kit.kubectl("delete ingress forgotten")', "do not remove it"),
        "a slip of the pen": (
            ingress("forgotten", "forgotten.example", path("/", "wiki"), ingressClassName="treafik"),
            "Nobody checks that name"),
        "a second one beside it": (
            ingress("remembered", "forgotten.example", path("/", "wiki")), "repair that one"),
    },
    "default_backend": {
        "a rule for everything": (ingress("rest", "", path("/", "lost")), "stands beside"),
        "somebody's counter": (
            ingress("rest", "", defaultBackend={"service": {"name": "shop", "port": {"number": 80}}}),
            "somebody's counter"),
        "the container's port": (
            ingress("rest", "", defaultBackend={"service": {"name": "lost", "port": {"number": 8080}}}),
            "which one does the backend name"),
    },
    "fine_print": {
        "nothing done": ("...", "where is the annotation"),
        "a small number": (
            ingress("notice-faq", "notice.example", path("/faq", "wiki", "Exact"),
                    annotations={**PRIORITY, next(iter(PRIORITY)): "5"}), "Is yours greater than that"),
        "Prefix instead of Exact": (
            ingress("notice-faq", "notice.example", path("/faq", "wiki"), annotations=PRIORITY),
            "which pathType was that"),
        "the other rule taken away": (
            ingress("notice", "notice.example", path("/faq", "wiki", "Exact")), "the rule for `/` is needed"),
    },
    "gateway": {
        "the weights swapped": (gate() + canary(1, 3), "parts of their sum"),
        "no rule for testers": (gate() + canary(testers=False), "A rule of its own"),
        "a parent that is not there": (gate() + canary(parent="door"), "names its Gateway in"),
        "a door that Traefik has not": (gate(8080) + canary(), "Which class and which port"),
    },
}
