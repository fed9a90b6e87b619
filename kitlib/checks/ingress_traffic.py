"""What checks of Ingresses share: who answers a request at the door, and what an Ingress says.

A house is a Deployment of kit/echo: its Pods say their names, so an answer tells who gave it.
"""

from __future__ import annotations

import base64
from typing import Any

from kitlib.checks.world import World
from kitlib.checks.wrong import Wrong
from kitlib.traffic.door import Door, names_of
from kitlib.traffic.exchange import Answer

INGRESSES, CLASS = "ingresses.networking.k8s.io", "traefik"
WAKING_SECONDS = 20.0  # the first Ingress starts the controller
HEARSAY_SECONDS = 4.0  # until it has heard of a change


def house(answer: Answer) -> str:
    """Whose Pod answered: "shop" of shop-6d4b-x2x7k; "" if no Pod did."""
    return answer.pod.rsplit("-", 2)[0]


def said(answer: Answer) -> str:
    """What came, for the `actual` of a hint."""
    return house(answer) or (f"HTTP {answer.status}" if answer.status else str(answer.failure))


def ask(world: World, url: str, wanted: str, **options: Any) -> Answer:
    """Ask until the house `wanted` answers; gives the last answer, whoever's it is."""
    door = Door(world.client, world.namespace)
    answer = door.ask(url, **options)

    def look() -> bool:
        nonlocal answer
        answer = door.ask(url, **options)
        return house(answer) == wanted

    world.eventually(look, within=HEARSAY_SECONDS)
    world.evidence[url] = said(answer)
    return answer


def reach(world: World, url: str, wanted: str, hint: str, **options: Any) -> Answer:
    """Ask like `ask`; another house's answer, or none, is the learner's mistake."""
    answer = ask(world, url, wanted, **options)
    if house(answer) != wanted:
        raise Wrong(f"{url} is not answered by {wanted}", hint, expected=wanted, actual=said(answer))
    return answer


def find_ingress(world: World, name: str) -> dict[str, Any]:
    return world.find("Ingress", INGRESSES, name, "`kubectl get ingress` shows those there are. "
                      f"Is `metadata.name` {name!r}? What did `apply` say?")


def served(world: World, name: str) -> dict[str, Any]:
    """The Ingress, once a controller has taken it up."""
    found = find_ingress(world, name)
    wanted = found["spec"].get("ingressClassName", "")
    if wanted != CLASS:
        raise Wrong(f"Ingress {name} is of the class {wanted!r}", "Compare with `kubectl get ingressclass`: who is "
                    "nobody's, is served by nobody.", expected=CLASS, actual=wanted)
    door = Door(world.client, world.namespace)
    if not world.eventually(lambda: door.ask("http://any.example/").status, within=WAKING_SECONDS):
        raise Wrong("the ingress controller does not answer",
                    "Is it there? `kit ingress status`, or `kubectl -n traefik get pods`.")
    return found


def backends_of(ingress: dict[str, Any], host: str) -> dict[str, str]:
    """path → Service of one host's rules."""
    return {path.get("path", "/"): (path["backend"].get("service") or {}).get("name", "")
            for rule in ingress["spec"].get("rules") or () if rule.get("host", "") == host
            for path in (rule.get("http") or {}).get("paths") or ()}


def host_rule(ingress: dict[str, Any], host: str) -> dict[str, str]:
    """The paths of a host; a missing host is its own mistake."""
    found = backends_of(ingress, host)
    name = ingress["metadata"]["name"]
    if not found and backends_of(ingress, ""):
        raise Wrong(f"the rule of Ingress {name} is for every host", f"Without `host: {host}` it takes what is for all "
                    "the others, too. Name the host.", expected=host, actual="any host")
    if not found:
        raise Wrong(f"Ingress {name} has no rule for {host}", "Compare `spec.rules[].host` letter by letter.",
                    expected=host, actual=[rule.get("host") for rule in ingress["spec"].get("rules") or ()])
    return found


def certificate_in(world: World, name: str, host: str) -> str:
    """The certificate in a TLS Secret, if it is for that host."""
    secret = world.get("secrets", name)
    if secret is None:
        raise Wrong(f"there is no Secret {name}", "`kubectl create secret tls NAME --cert=FILE --key=FILE` makes one.",
                    actual=[each["metadata"]["name"] for each in world.list("secrets")])
    if secret.get("type") != "kubernetes.io/tls":
        raise Wrong(f"the Secret {name} is of the type {secret.get('type')}", "There are several kinds of "
                    "`kubectl create secret`: with `tls` the API checks that certificate and key are there.",
                    expected="kubernetes.io/tls", actual=secret.get("type"))
    certificate = base64.b64decode(secret["data"]["tls.crt"]).decode("utf-8", "replace")
    try:
        hosts = names_of(certificate)[1]
    except ValueError:
        raise Wrong(f"what is in {name} is no certificate", "`--cert` wants the file that ends with .crt.") from None
    if host not in hosts:
        raise Wrong(f"the certificate in {name} is not for {host}", "A certificate names its hosts, and a browser "
                    "compares: `kit.certificate` takes the name.", expected=host, actual=list(hosts))
    return certificate


def encrypted(world: World, name: str, secret: str, host: str, wanted: str) -> None:
    """The host shows the Secret's certificate, and behind it the right house answers."""
    ingress = served(world, name)
    host_rule(ingress, host)
    certificate = certificate_in(world, secret, host)
    named = {tls.get("secretName"): tls.get("hosts") or [] for tls in ingress["spec"].get("tls") or ()}
    if secret not in named:
        raise Wrong(f"Ingress {name} does not use the Secret {secret}", "The Secret lies there and nobody fetches it: "
                    "`spec.tls` has a list of `hosts` and a `secretName`.", expected=secret,
                    actual=sorted(map(str, named)))
    door = Door(world.client, world.namespace)
    if not world.eventually(lambda: door.certificate(host) == certificate, within=HEARSAY_SECONDS):
        shown = door.certificate(host)
        raise Wrong(f"{host} does not show the certificate in {secret}", f"`kit.passage(\"https://{host}/\")` says "
                    "which one it shows. Are Secret and Ingress in one namespace?", expected=names_of(certificate)[0],
                    actual=names_of(shown)[0] if shown else "no TLS")
    reach(world, f"https://{host}/", wanted, "The lock is right; look at the rule behind it.")
