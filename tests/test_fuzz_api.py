"""Bad input against the whole API: no hang, no exception, no growth, and every refusal is a `Status`.

The requests come out of the served OpenAPI (fuzz_requests.py); then there are the known attacks: huge and
deep values in every place that takes any, patches and patterns that explode, clients that stop in the middle.
test_api_fuzz.py does the same from the inside, with the kinds' schemas.
"""

from __future__ import annotations

import gc
import json
import os
import random
import socket
import ssl
import time
import tracemalloc
from typing import Any
from urllib.parse import urlsplit

import pytest
from api_world import (
    APPLY_PATCH,
    CONFIGMAPS,
    JSON_PATCH,
    MERGE_PATCH,
    PODS,
    STRATEGIC_PATCH,
    World,
    config_map,
    pod,
    read,
)
from fuzz_requests import PATCHES, Maker, operations
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import eventually

from kitlib.api.request import Response
from kitlib.cluster.embedded import EmbeddedCluster

# The same examples in every run: a suite that fails by chance teaches nobody anything.  Look for more with other seeds.
MANY = settings(max_examples=800, derandomize=True, deadline=None, database=None,
                suppress_health_check=[HealthCheck.function_scoped_fixture])
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.fuzz.io"},
    "spec": {"group": "fuzz.io", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"}, "versions": [{
        "name": "v1", "served": True, "storage": True, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {
                "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {
                    "name": {"type": "string", "pattern": "^(a+)+$", "maxLength": 100_000},
                    "size": {"x-kubernetes-int-or-string": True}, "when": {"type": "string", "format": "date-time"},
                    "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                             "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}}}}},
                "status": {"type": "object", "additionalProperties": {"type": "integer"}}}}}}]}}
JSON = {"content-type": "application/json"}
THINGS = "/apis/fuzz.io/v1/namespaces/default/things"


def recorded(request: dict[str, Any], status: dict[str, Any]) -> bool:
    """Whether a real server was seen to answer 5xx to such a request (the vectors have each of them)."""
    if status["code"] == 504:
        return status["reason"] == "Timeout" and "resourceVersion" in request
    if status["code"] != 500 or "reason" in status:
        return False
    media = request["headers"].get("content-type", "")
    return bool((request["method"] == "PATCH" and media in (STRATEGIC_PATCH, APPLY_PATCH))
                or b"resourceVersion" in request["body"] or "resourceVersion" in request
                or request["path"].endswith(("/binding", "/bindings")))


def check(world: World, request: dict[str, Any]) -> None:
    began = time.perf_counter()
    answer = world.send(**request)
    seconds = time.perf_counter() - began
    assert seconds < 5, f"{seconds} s for {request['method']} {request['path']}"
    if not isinstance(answer, Response):
        if hasattr(answer, "poll"):
            answer.poll()
            answer.close()
        return
    if answer.code < 400 or answer.content_type != "application/json":
        assert answer.code < 500, answer.body
        return
    status = read(answer)
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", answer.code)
    assert answer.code < 500 or recorded(request, status), (request, status)


def make_world() -> World:
    made = World()
    assert made.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", DEFINITION).code == 201
    made.clock.advance(5)
    for name in ("a", "b"):
        assert made.post(CONFIGMAPS, config_map(name)).code == 201
        assert made.post(PODS, pod(name)).code == 201
        assert made.post(THINGS, {"apiVersion": "fuzz.io/v1", "kind": "Thing", "metadata": {"name": name}}).code == 201
    return made


@pytest.fixture(scope="module")
def world() -> World:
    """One that has seen a lot."""
    return make_world()


@pytest.fixture
def fresh() -> World:
    return make_world()


@pytest.fixture(scope="module")
def served(world: World) -> list[Any]:
    found = operations(world)
    assert len(found) > 500
    return found


@MANY
@given(seed=st.integers(0, 2**32))
def test_requests_made_of_the_served_openapi(world: World, served: list[Any], seed: int) -> None:
    source = random.Random(seed)
    maker = Maker(source, oddity=source.choice((0.0, 0.02, 0.1)))
    for operation in source.sample(served, 40):
        check(world, maker.request(operation))


ALMOST_NOTHING = (
    None, {}, [], {"metadata": None}, {"metadata": {}}, {"metadata": {"name": ""}}, {"spec": None}, {"spec": {}},
    {"metadata": {"name": "n"}}, {"metadata": {"name": "n"}, "spec": {}}, {"metadata": {"generateName": "n-"}},
    {"metadata": {"name": "n"}, "spec": {"template": None}}, {"metadata": {"name": "n"}, "status": {}})


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_bodies_with_almost_nothing_in_them(world: World, served: list[Any], method: str) -> None:
    for operation in served:
        if operation.method == method and operation.body:
            path = operation.path.replace("{namespace}", "default").replace("{name}", "a")
            for body in ALMOST_NOTHING:
                for media in PATCHES[1:] if method == "PATCH" else ("application/json",):
                    check(world, {"method": method, "path": path, "body": json.dumps(body).encode(), "dryRun": "All",
                                  "fieldManager": "f", "headers": {"content-type": media}})


HUGE = {"long": "a" * 200_000, "dots": "a." * 100_000, "dashes": "a-" * 100_000 + "!", "slashes": "a/" * 100_000,
        "digits": "1" * 200_000, "spaces": " " * 200_000, "exponent": "1e999999999", "small": "1e-999999999",
        "commas": "0-9," * 50_000, "opening": "(" * 100_000, "times": "2024-01-01T00:00:00Z" * 10_000}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_a_huge_text_wherever_a_text_may_stand(world: World, served: list[Any], text: str) -> None:
    maker = Maker(random.Random(1), oddity=0.0, texts=(text,))
    for operation in served:
        if operation.method == "POST" and operation.body:
            made = maker.object(operation, "huge")
            data = json.dumps(made).encode()
            while len(data) > 3_000_000:  # what the edge would not let in
                made = {"metadata": {"name": text}}
                data = json.dumps(made).encode()
            path = operation.path.replace("{namespace}", "default").replace("{name}", "a")
            check(world, {"method": "POST", "path": path, "body": data, "headers": JSON})


@pytest.mark.parametrize("where", ["labelSelector", "fieldSelector", "continue", "limit", "resourceVersion",
                                   "timeoutSeconds"])
def test_a_huge_text_in_the_query(world: World, where: str) -> None:
    for text in (*HUGE.values(), "a in (" + "x," * 60_000 + "x)", "a=b," * 60_000, "!" * 200_000, "²", "9" * 30):
        for more in ({}, {"watch": "true"}):
            check(world, {"method": "GET", "path": CONFIGMAPS, "body": b"", "headers": {}, where: text, **more})


@pytest.mark.parametrize("where", ["accept", "content-type", "authorization", "user-agent", "impersonate-user"])
def test_a_huge_text_in_a_header(world: World, where: str) -> None:
    for text in HUGE.values():
        for value in (text, f"Bearer {text}", f"{text},{text}"):
            check(world, {"method": "POST", "path": CONFIGMAPS, "body": b'{"metadata":{"generateName":"h-"}}',
                          "headers": {where: value}})


def nested(depth: int, opening: str, closing: str) -> str:
    return opening * depth + "1" + closing * depth


@pytest.mark.parametrize("depth", [150, 190, 210, 260, 600, 1100, 20_000, 200_000])
@pytest.mark.parametrize("pair", [("[", "]"), ('{"a":', "}")], ids=["lists", "maps"])
def test_deep_nesting_is_refused_and_never_stored(fresh: World, depth: int, pair: tuple[str, str]) -> None:
    deep = nested(depth, *pair)
    bodies = [deep, f'{{"metadata":{{"name":"a"}},"data":{{"a":{deep}}}}}',
              f'{{"metadata":{{"name":"a"}},"spec":{{"x":{deep}}}}}',
              f'{{"apiVersion":"fuzz.io/v1","kind":"Thing","metadata":{{"name":"deep"}},"spec":{{"x":{deep}}}}}',
              f'[{{"op":"add","path":"/spec","value":{deep}}}]', f'[{{"op":"test","path":"/spec","value":{deep}}}]',
              f'{{"metadata":{{"name":"a","managedFields":[{{"manager":"m","operation":"Apply","apiVersion":"v1",'
              f'"fieldsType":"FieldsV1","fieldsV1":{deep}}}]}}}}']
    for body in bodies:
        for media in ("application/json", "application/yaml", MERGE_PATCH, STRATEGIC_PATCH, JSON_PATCH, APPLY_PATCH):
            for method, path in (("POST", THINGS), ("PUT", f"{THINGS}/a"), ("PATCH", f"{THINGS}/a"),
                                 ("PATCH", f"{CONFIGMAPS}/a"), ("DELETE", f"{CONFIGMAPS}/none")):
                check(fresh, {"method": method, "path": path, "body": body.encode(), "fieldManager": "f",
                              "headers": {"content-type": media}})
    table = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    for headers in ({}, table, {"accept": "application/yaml"}):
        assert fresh.get(THINGS, headers=headers, includeObject="Object").code == 200
    fresh.delete(f"{THINGS}/deep")


def test_a_patch_cannot_build_a_tower_step_by_step(fresh: World) -> None:
    fresh.post(THINGS, {"apiVersion": "fuzz.io/v1", "kind": "Thing", "metadata": {"name": "tower"}, "spec": {"x": {}}})
    codes = []
    for step in range(8):
        path = "/spec" + "/x" * (1 + 40 * step)
        value = json.loads(nested(39, '{"x":', "}").replace("1", "{}"))
        codes.append(fresh.patch(f"{THINGS}/tower", [{"op": "add", "path": path, "value": value}], JSON_PATCH).code)
    assert codes[0] == 200
    assert codes[-1] in (400, 422)
    assert fresh.get(THINGS).code == 200


def test_copies_in_a_json_patch_do_not_explode(fresh: World) -> None:
    doubling = [{"op": "add", "path": "/data/x", "value": "x" * 1000},
                *({"op": "copy", "from": "/data", "path": f"/data/a{i}"} for i in range(40))]
    many = [{"op": "add", "path": "/data/x", "value": "x" * 100_000},
            *({"op": "copy", "from": "/data/x", "path": f"/data/a{i}"} for i in range(9000))]
    for patch in (doubling, many):
        began = time.perf_counter()
        assert fresh.patch(f"{CONFIGMAPS}/a", patch, JSON_PATCH).code == 422
        assert time.perf_counter() - began < 5
    too_many = [{"op": "test", "path": "/data/k", "value": "v"}] * 10_001
    assert fresh.patch(f"{CONFIGMAPS}/a", too_many, JSON_PATCH).code == 413


def test_a_pattern_of_a_definition_cannot_hang_the_api(fresh: World) -> None:
    thing = {"apiVersion": "fuzz.io/v1", "kind": "Thing", "metadata": {"name": "c"},
             "spec": {"name": "a" * 50_000 + "!"}}
    began = time.perf_counter()
    assert fresh.post(THINGS, thing).code == 422
    assert time.perf_counter() - began < 1


NUMBERS = "[" + ",".join(map(str, range(100))) + "]"
RULES = {
    "loops in loops": f"{NUMBERS}.all(a, {NUMBERS}.all(b, {NUMBERS}.all(c, {NUMBERS}.all(d, true))))",
    "a text that doubles": "[self.text]" + ".map(v, v + v)" * 30 + ".size() > 0",
    "a list that doubles": "[self.items]" + ".map(v, v + v)" * 30 + ".size() > 0",
    "replacements": 'self.text.replace("a", "' + "a" * 4000 + '").replace("a", "' + "a" * 4000 + '") != ""'}


@pytest.mark.parametrize("rule", [*RULES.values(), None], ids=[*RULES, "a rule for each of many items"])
def test_a_rule_cannot_hang_the_api_or_fill_the_memory(fresh: World, rule: str | None) -> None:
    definition = json.loads(json.dumps(DEFINITION).replace("thing", "ruled").replace("Thing", "Ruled"))
    items: dict[str, Any] = {"type": "array", "items": {"type": "integer"}}
    spec: dict[str, Any] = {"type": "object", "properties": {"text": {"type": "string"}, "items": items}}
    (spec if rule else items["items"])["x-kubernetes-validations"] = [{"rule": rule or "self >= 0"}]
    definition["spec"]["versions"][0]["schema"] = {
        "openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    assert fresh.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).code == 201
    fresh.clock.advance(5)
    began = time.perf_counter()
    answer = fresh.post(THINGS.replace("thing", "ruled"), {
        "apiVersion": "fuzz.io/v1", "kind": "Ruled", "metadata": {"name": "r"},
        "spec": {"text": "a" * 1000, "items": list(range(100_000 if rule is None else 100))}})
    assert time.perf_counter() - began < 15
    assert answer.code == 422
    assert "cost" in read(answer)["message"]


def test_refused_requests_leave_nothing_behind(world: World) -> None:
    """Names, agents and paths that are never the same: whatever remembers them must forget them."""
    def round_(number: int) -> None:
        for i in range(400):
            odd = f"{number}-{i}-" + "x" * 500
            for method, path, headers in (
                    ("GET", f"/{odd}", {}), ("GET", f"/apis/{odd}/v1/{odd}", {}),
                    ("GET", f"/api/v1/namespaces/{odd}/pods/{odd}", {}), ("GET", CONFIGMAPS, {"accept": odd}),
                    ("POST", CONFIGMAPS, {"content-type": odd, "user-agent": odd}), (odd[:20], CONFIGMAPS, {}),
                    ("GET", CONFIGMAPS, {"authorization": f"Bearer {odd}"}),
                    ("GET", CONFIGMAPS, {"impersonate-user": odd, "impersonate-group": odd})):
                world.send(method, path, b"{}", headers=headers)
            world.get(CONFIGMAPS, labelSelector=f"x=l{number}-{i}", fieldSelector=f"metadata.name={odd}")
        gc.collect()

    for number in range(3):  # caches of a fixed size may fill
        round_(number)
    tracemalloc.start()
    try:
        round_(3)
        before = tracemalloc.get_traced_memory()[0]
        round_(4)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 100_000


class Hostile:
    """Raw connections to a running cluster."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self.cluster, self.pid = cluster, cluster.status().pid
        where = urlsplit(cluster.server)
        self.address = (where.hostname, where.port)
        self.token = cluster.directory.read_config()["token"]
        self.context = ssl.create_default_context(cadata=(cluster.directory.pki / "ca.crt").read_text())

    def open(self) -> ssl.SSLSocket:
        plain = socket.create_connection(self.address, timeout=10)
        return self.context.wrap_socket(plain, server_hostname=self.address[0])

    def head(self, method: str, path: str, length: int) -> bytes:
        return (f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.token}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n").encode()

    def sockets(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident(self) -> int:
        with open(f"/proc/{self.pid}/statm") as file:
            return int(file.read().split()[1]) * 4096


@pytest.fixture
def hostile(cluster: EmbeddedCluster) -> Hostile:
    return Hostile(cluster)


def test_clients_that_stop_in_the_middle_do_not_disturb_others(hostile: Hostile) -> None:
    quiet, client = hostile.sockets(), hostile.cluster.client()
    path = "/api/v1/namespaces/default/configmaps"
    silent = [socket.create_connection(hostile.address, timeout=10) for _ in range(40)]  # no handshake
    half = [hostile.open() for _ in range(40)]
    for number, each in enumerate(half):
        head = hostile.head("POST", path, 1000)
        each.sendall(head[:20 + number] if number % 2 else head + b'{"metadata":')
    watching = [hostile.open() for _ in range(20)]
    for each in watching:  # asks, and never reads
        each.sendall(hostile.head("GET", f"{path}?watch=1", 0))
    began = time.perf_counter()
    for number in range(20):
        client.create("configmaps", "default", {"metadata": {"name": f"hostile-{number}"}, "data": {"x": "y" * 10_000}})
        client.delete("configmaps", "default", f"hostile-{number}")
    assert time.perf_counter() - began < 10
    for each in (*silent, *half, *watching):
        each.close()
    eventually(lambda: hostile.sockets() <= quiet + 5)


def test_a_body_that_comes_byte_by_byte_is_read(hostile: Hostile) -> None:
    body = b'{"metadata":{"name":"slow"}}'
    with hostile.open() as slow:
        for byte in hostile.head("POST", "/api/v1/namespaces/default/configmaps?dryRun=All", len(body)) + body:
            slow.sendall(bytes([byte]))
        assert slow.recv(100).startswith(b"HTTP/1.1 201")


def test_huge_bodies_and_many_lists_do_not_stay_in_memory(hostile: Hostile) -> None:
    path = "/api/v1/namespaces/default/configmaps"

    def attack() -> None:
        for _ in range(8):
            with hostile.open() as sock:
                body = b'{"metadata":{"name":"huge"},"data":{"x":"' + b"x" * 2_900_000 + b'"}}'
                sock.sendall(hostile.head("POST", path, len(body)) + body)
                assert sock.recv(100).startswith(b"HTTP/1.1 4")  # a ConfigMap may have 1 MiB
            with hostile.open() as sock:
                sock.sendall(hostile.head("POST", path, 50_000_000) + b"x" * 100_000)
                assert sock.recv(100).startswith(b"HTTP/1.1 413")

    attack()
    before = hostile.resident()
    for _ in range(3):
        attack()
    assert hostile.resident() - before < 30_000_000
