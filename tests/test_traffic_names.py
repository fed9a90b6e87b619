"""Names and URLs before any traffic: search path and ndots, hosts of Ingresses, what is no URL."""

from __future__ import annotations

from typing import Any

import pytest

from kitlib.objects.errors import not_found
from kitlib.traffic.exchange import Answer, head, identity, parse_url
from kitlib.traffic.ingress import Ingresses, matches
from kitlib.traffic.resolve import ResolvConf
from kitlib.traffic.shape import headers_of

CONF = ResolvConf.of_pod("127.64.0.10", "shop")


@pytest.mark.parametrize(("name", "tried"), [
    ("web", ["web.shop.svc.cluster.local", "web.svc.cluster.local", "web.cluster.local", "web"]),
    ("web.", ["web"]),
    ("a.b.c.d.e.f", ["a.b.c.d.e.f", "a.b.c.d.e.f.shop.svc.cluster.local", "a.b.c.d.e.f.svc.cluster.local",
                     "a.b.c.d.e.f.cluster.local"]),
])  # fmt: skip
def test_the_candidates_are_glibcs(name: str, tried: list[str]) -> None:
    assert CONF.candidates(name) == tried


def test_with_ndots_1_a_name_with_a_dot_is_tried_first() -> None:
    assert ResolvConf("127.64.0.10", ("x.local",), ndots=1).candidates("example.com")[0] == "example.com"


@pytest.mark.parametrize(("pattern", "host", "match"), [
    ("shop.example", "SHOP.example", True), ("shop.example", "a.shop.example", False),
    ("*.shop.example", "a.shop.example", True), ("*.shop.example", "shop.example", False),
    ("*.shop.example", "a.b.shop.example", False),
])  # fmt: skip
def test_a_wildcard_stands_for_one_label(pattern: str, host: str, match: bool) -> None:
    assert matches(pattern, host) is match


class Lists:
    """A client that knows some lists; other kinds are not served."""

    def __init__(self, **lists: list[dict[str, Any]]) -> None:
        self._lists = lists

    def list(self, resource: str, namespace: str | None = None) -> dict[str, Any]:
        kind = resource.partition(".")[0]
        if kind not in self._lists:
            raise not_found("", resource, "")
        return {"items": self._lists[kind]}

    def get(self, resource: str, namespace: str, name: str) -> dict[str, Any]:
        raise not_found("", resource, name)


def ingress(name: str, host: str, **address: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"rules": [{"host": host}]},
            "status": {"loadBalancer": {"ingress": [address]} if address else {}}}


def test_the_exact_host_wins_and_the_address_is_in_the_status() -> None:
    found = Ingresses(Lists(ingresses=[ingress("wild", "*.example", ip="127.64.0.1"),  # type: ignore[arg-type]
                                       ingress("exact", "a.example", hostname="lb.shop.svc"),
                                       ingress("new", "b.example")]))
    entry = found.find("a.example")
    assert entry is not None
    assert (str(entry), entry.target) == ("Ingress shop/exact", "lb.shop.svc")
    assert found.find("b.example").name == "wild"  # type: ignore[union-attr]
    assert found.find("c.d.example") is None


def test_a_gateways_routes_have_hosts_too() -> None:
    route = {"metadata": {"name": "r", "namespace": "shop"},
             "spec": {"parentRefs": [{"name": "gw"}], "hostnames": ["api.example"]}}
    gateway = {"metadata": {"name": "gw", "namespace": "shop"}, "status": {"addresses": [{"value": "127.64.0.9"}]}}
    found = Ingresses(Lists(httproutes=[route], gateways=[gateway])).find("api.example")  # type: ignore[arg-type]
    assert found is not None
    assert (str(found), found.target) == ("HTTPRoute shop/r", "127.64.0.9")


def test_a_url_is_taken_apart() -> None:
    target = parse_url("web:8080/a?b=c")
    assert (target.scheme, target.host, target.port, target.path, target.host_header) == (
        "http", "web", 8080, "/a?b=c", "web:8080")
    assert parse_url("https://web").port == 443
    assert parse_url("https://web").host_header == "web"


@pytest.mark.parametrize(("url", "word"), [("ftp://web/", "http or https"), ("http://", "no host"),
                                           ("http://web:x/", "not a URL"), ("http://web/a b", "blank")])
def test_what_is_no_url_is_said_in_a_sentence(url: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        parse_url(url)


def test_headers_are_curls() -> None:
    target = parse_url("http://web/")
    assert ("Host", "web") in head(target, [], None)
    given = headers_of(["Host: other", "Accept:"])
    assert [pair for pair in head(target, given, b"x") if pair[0] in ("Host", "Accept")] == [("Host", "other")]
    with pytest.raises(ValueError, match="Name: value"):
        headers_of(["nonsense"])


def test_only_the_kits_echo_says_who_it_is() -> None:
    assert identity({"server": "kit-echo"}, b"web-1\nGET /\nversion v2\n") == ("web-1", "v2")
    assert identity({"server": "kit-echo", "x-pod": "web-2"}, b'{"pod": "web-2", "version": "v3"}') == ("web-2", "v3")
    assert identity({"server": "nginx"}, b"web-1\n") == ("", "")
    answer = Answer("http://web/", headers=[("Server", "kit-echo")], body=b"web-1\nGET /\n")
    assert (answer.pod, answer.version) == ("web-1", "")
