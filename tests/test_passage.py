"""One request's way into the cluster: what is drawn of it, and that it is told by those who saw it."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from kitlib.traffic.door import names_of
from kitlib.traffic.exchange import Answer
from kitlib.traffic.failure import Failure
from kitlib.traffic.passage import Endpoint, Passage
from kitlib.traffic.rules import Route
from kitlib.views.passage import PassageFigure

RULES = [Route("town/shops", "traefik", "town.example", "/", "Prefix", "town/shop:80", 1),
         Route("town/shops", "traefik", "town.example", "/cart", "Prefix", "town/cart:80", 2),
         Route("town/shops", "traefik", "town.example", "/robots.txt", "Exact", "town/wiki:80", 1),
         Route("town/rest", "traefik", "*", "", "default", "town/lost:80", 1)]


@pytest.mark.parametrize(("path", "fits"), [
    ("/", [0, 3]), ("/cart", [0, 1, 3]), ("/cart/", [0, 1, 3]), ("/cart/7", [0, 1, 3]), ("/cartoon", [0, 3]),
    ("/Cart", [0, 3]), ("/robots.txt", [0, 2, 3]), ("/robots.txt/", [0, 3]),
])  # fmt: skip
def test_a_rule_matches_element_by_element(path: str, fits: list[int]) -> None:
    assert [number for number, rule in enumerate(RULES) if rule.matches("town.example", path)] == fits


def test_a_wildcard_is_one_label() -> None:
    wild = Route("town/w", "traefik", "*.town.example", "/", "Prefix", "town/shop:80", 1)
    assert wild.matches("a.town.example", "/")
    assert not wild.matches("town.example", "/")
    assert not wild.matches("a.b.town.example", "/")


def passage(status: int = 200, **more: Any) -> Passage:
    answer = Answer("http://town.example/cart/7", status=status, reason="OK" if status == 200 else "No", seconds=0.004)
    seen = {"pod": "cart-1", "client": "127.64.17.2", "headers": {"Host": "town.example", "X-Forwarded-For": "1.2.3.4"}}
    given = {"front": "127.64.255.1:80", "source": "127.64.15.1", "rules": RULES, "taken": RULES[1],
             "controller": Endpoint("127.64.17.2", "traefik-1", True), "service": "town/cart", "seen": seen,
             "endpoints": [Endpoint("127.64.17.3:8080", "cart-1", True), Endpoint("127.64.18.3:8080", "cart-2", False)],
             "endpoint": "127.64.17.3:8080", "origin": 3.0, "overhead": 0.1}
    return Passage(answer.url, "GET", "town.example", "/cart/7", False, answer, **(given | more))


def test_it_names_whom_the_request_passed_and_what_each_could_see() -> None:
    words = str(PassageFigure(passage()))
    assert "2. Layer 4: Service traefik (sees address, port)" in words
    assert "3. Layer 7: ingress controller (sees address, port, host, path, headers)" in words
    assert "▶  town.example /cart (Prefix)  cart:80   (Ingress town/shops)" in words
    assert "·  town.example / (Prefix)" in words
    assert "▶ 127.64.17.3:8080  cart-1 (ready)" in words
    assert "the connection comes from 127.64.17.2  the controller" in words
    assert words.endswith("200 OK after 4.0 ms: 3.0 ms behind the controller, 0.10 ms in it.")


@pytest.mark.parametrize(("more", "sentence"), [
    ({"status": 404, "taken": None, "service": "", "endpoints": [], "endpoint": "", "seen": {}, "origin": 0.0},
     "no rule of any Ingress is for this host and path"),
    ({"status": 503, "endpoints": [], "endpoint": "", "seen": {}, "origin": 0.0}, "town/cart has no Pod that is ready"),
    ({"status": 502, "seen": {}}, "nobody answered at 127.64.17.3:8080"),
    ({"tls": True, "certificate": ("TRAEFIK DEFAULT CERT", ("x.traefik.default",))},
     "is shown the certificate TRAEFIK DEFAULT CERT (for no host at all)"),
])  # fmt: skip
def test_it_says_where_a_request_ended(more: dict[str, Any], sentence: str) -> None:
    way = passage(more.pop("status", 200))
    for name, value in more.items():
        setattr(way, name, value)
    assert sentence in str(PassageFigure(way))
    assert sentence in PassageFigure(way).svg


def test_the_picture_is_well_formed_and_has_its_words_as_alternative_text() -> None:
    way = passage()
    way.url = "http://town.example/?a=<b>&c"
    root = ElementTree.fromstring(PassageFigure(way).svg)
    description = root.findtext("{http://www.w3.org/2000/svg}desc") or ""
    assert "Layer 7: ingress controller" in description
    assert root.get("role") == "img"


def test_without_a_controller_there_is_one_sentence() -> None:
    nobody = Answer("http://x.example/", failure=Failure("dns", "this cluster has no ingress controller yet"))
    words = str(PassageFigure(Passage("http://x.example/", "GET", "x.example", "/", False, nobody)))
    assert words.endswith("No answer: this cluster has no ingress controller yet.")


def test_a_certificate_tells_its_names() -> None:
    from kitlib.book.door import certificate

    path, key = certificate("one.example", "two.example")
    with open(path) as file:
        assert names_of(file.read()) == ("one.example", ("one.example", "two.example"))
    with open(key) as file:
        assert "PRIVATE KEY" in file.read()
