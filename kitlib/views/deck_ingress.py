"""Figures for the slides of lab15: requests on their way through the door of a small town.

    !figure passage town        three rules for one host, and the one that a request takes
    !figure passage safe        the same over TLS, with the certificate that was shown
    !figure passage empty       503: the house is known, nobody is at home
    !figure passage stranger    404: no rule is for it
    !figure passage canary      the Gateway API: a tester's header
"""

from __future__ import annotations

from typing import Any

from kitlib.traffic.exchange import Answer
from kitlib.traffic.passage import Endpoint, Passage
from kitlib.traffic.rules import Route
from kitlib.views import passage_svg

_CONTROLLER = Endpoint("127.64.17.3", "traefik-6449d6f84b-bn2jf", True)
_FRONT, _SOURCE = "127.64.255.1", "127.64.15.1"
_PODS = {"shop": Endpoint("127.64.18.2:8080", "shop-c4b8fcc99-ctz8m", True),
         "cart": Endpoint("127.64.19.2:8080", "cart-7d9f6c5b8-w2v4q", True),
         "fresh": Endpoint("127.64.17.2:8080", "fresh-6f7df49b7d-5n7rd", True)}


def _rule(host: str, path: str, service: str, kind: str = "Prefix", ingress: str = "") -> Route:
    return Route(f"town/{ingress or host.partition('.')[0]}", "traefik", host, path, kind, f"town/{service}:80", 1)


TOWN = [_rule("town.example", "/", "shop"), _rule("town.example", "/cart", "cart"),
        _rule("town.example", "/robots.txt", "wiki", "Exact")]
CANARY = [Route("town/canary", "", "canary.example", "/ X-Tester: yes", "PathPrefix", "town/fresh:80 ×1", 0),
          Route("town/canary", "", "canary.example", "/", "PathPrefix", "town/shop:80 ×3 + fresh:80 ×1", 0)]


def _passage(url: str, rules: list[Route], taken: Route | None, pod: str = "", status: int = 200,
             reason: str = "OK", sent: tuple[tuple[str, str], ...] = (), **more: Any) -> Passage:
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    seen = {"pod": _PODS[pod].pod, "client": _CONTROLLER.address, "headers": {
        "Host": host, "X-Forwarded-For": _SOURCE, "X-Forwarded-Proto": scheme}} if pod else {}
    endpoints = [_PODS[pod]] if pod else []
    return Passage(url, "GET", host, "/" + path, scheme == "https",
                   Answer(url, status=status, reason=reason, seconds=0.0043, sent=list(sent)),
                   front=f"{_FRONT}:{443 if scheme == 'https' else 80}", source=_SOURCE, controller=_CONTROLLER,
                   rules=rules, taken=taken, endpoints=endpoints, endpoint=endpoints[0].address if pod else "",
                   seen=seen, origin=2.1 if pod else 0.0, overhead=0.08, **more)


def passage(story: str = "town") -> str:
    """One of the stories above."""
    empty = _rule("empty.example", "/", "empty", ingress="broken")
    stories = {
        "town": lambda: _passage("http://town.example/cart/7", TOWN, TOWN[1], "cart"),
        "safe": lambda: _passage("https://safe.example/", [_rule("safe.example", "/", "shop")],
                                 _rule("safe.example", "/", "shop"), "shop",
                                 certificate=("safe.example", ("safe.example",))),
        "empty": lambda: _passage("http://empty.example/", [empty], empty, status=503, reason="Service Unavailable",
                                  service="town/empty"),
        "stranger": lambda: _passage("http://stranger.example/", [], None, status=404, reason="Not Found"),
        "canary": lambda: _passage("http://canary.example/", CANARY, CANARY[0], "fresh",
                                   sent=(("X-Tester", "yes"),)),
    }
    if story not in stories:
        raise ValueError(f"there are the stories {', '.join(stories)}")
    return passage_svg.render(stories[story]())
