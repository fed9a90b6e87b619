"""Whatever is sent, the answer is an answer: never an internal error, never an exception.

Objects are made out of the kinds' own schemas, with wrong values strewn in, so that they get past the
decoder and reach defaulting, admission, strategies and validation; and bytes are made out of nothing.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from api_world import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, World, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kitlib.api.kind import Kind
from kitlib.api.request import Response
from kitlib.api.shapes import shape_of
from kitlib.objects.schema.typenode import TypeNode

TEXTS = ("", "a", "a.b", "x y", "10", "1Gi", "-1", "50%", "default", "Always", "TCP", "2024-01-01T00:00:00Z", "*", "/",
         "a/b", "10.0.0.1", "10.0.0.0/8", "::1", "é", "A" * 300, "None", "@daily", "v1", "Pod", "IPv4", "NodePort",
         "ExternalName", "RollingUpdate", "In", "Never", "Indexed", "Container", "eA==", "kubernetes.io/x")
SCALARS: dict[str, tuple[Any, ...]] = {
    "int32": (0, 1, -1, 80, 70000), "int64": (0, 1, -1, 2**40), "bool": (True, False), "double": (1.5,),
    "int-or-string": (0, -5, "50%", "x%"), "quantity": ("1", "100m", "-1", 5, "bad"), "time": ("2024-01-01T00:00:00Z",),
    "microtime": ("2024-01-01T00:00:00.000000Z",), "bytes": ("eA==", "bad!")}
WRONG = (None, 0, -1, 2**70, 1.5, True, "", [], {}, [None], [{}], {"a": None}, {"": {}})


def value(node: TypeNode, source: random.Random, depth: int = 0) -> Any:
    """Something of a node's type, as a rule."""
    if node.kind == "any" or depth > 9 or source.random() < 0.03:
        return source.choice(WRONG)
    if node.kind == "scalar":
        return source.choice(SCALARS.get(node.scalar, TEXTS))
    if node.kind == "list":
        assert node.items is not None
        return [value(node.items, source, depth + 1) for _ in range(source.choice((0, 1, 1, 2)))]
    if node.kind == "map":
        assert node.items is not None
        return {source.choice(TEXTS): value(node.items, source, depth + 1) for _ in range(source.choice((0, 1, 2)))}
    chance = 0.75 if depth < 2 else 0.5 if depth < 4 else 0.3
    return {name: value(child, source, depth + 1) for name, child in node.fields.items() if source.random() < chance}


def body(kind: Kind, name: str, source: random.Random) -> dict[str, Any]:
    made = value(shape_of(kind).node, source)
    made = made if isinstance(made, dict) else {}
    return {**made, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}}


def path_of(kind: Kind) -> str:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    return f"{root}/namespaces/default/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"


def check(answer: Any) -> None:
    """A refusal is a Status; an internal error is a fault of ours."""
    if isinstance(answer, Response) and answer.code >= 400 and answer.content_type == "application/json":
        status = read(answer)
        assert status["kind"] == "Status"
        assert status.get("reason") != "InternalError", status["message"]


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_objects_of_all_kinds_with_wrong_values(world, seed):
    source = random.Random(seed)
    for kind in source.sample([k for k in world.api.registry.kinds() if "create" in k.verbs], 8):
        collection, name = path_of(kind), f"n{source.randint(0, 3)}"
        check(world.post(collection, body(kind, name, source)))
        if kind.virtual:
            continue
        item = f"{collection}/{name}"
        check(world.put(item, body(kind, name, source)))
        for patch in (MERGE_PATCH, STRATEGIC_PATCH):
            check(world.patch(item, body(kind, name, source), patch))
        check(world.patch(item, body(kind, name, source), APPLY_PATCH, fieldManager="f", force="true"))
        for sub in kind.subresources:
            for method in ("GET", "PUT", "PATCH", "POST"):
                check(world.send(method, f"{item}/{sub.name}", body(kind, name, source)))
        table = "application/json;as=Table;v=v1;g=meta.k8s.io"
        check(world.send("GET", collection, headers={"accept": table}))
        check(world.delete(item, source.choice((None, {"propagationPolicy": "Orphan"}, {"gracePeriodSeconds": -1}))))
    world.check_frozen()


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
                    max_leaves=12)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | JSON.map(lambda v: json.dumps(v).encode()),
       media=st.sampled_from(("application/json", "application/yaml", "application/vnd.kubernetes.protobuf", JSON_PATCH,
                              MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH, "", "x")),
       protobuf=st.booleans())
def test_any_bytes(world, data, media, protobuf):
    data = b"k8s\x00" + data if protobuf else data
    path = "/api/v1/namespaces/default/pods"
    for method, where in (("POST", path), ("PUT", f"{path}/a"), ("PATCH", f"{path}/a"), ("DELETE", f"{path}/a")):
        check(world.send(method, where, data, headers={"content-type": media}, fieldManager="f"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.lists(st.sampled_from(("api", "apis", "v1", "apps", "namespaces", "default", "pods", "a", "status", "",
                                      "watch", "proxy", "x:y:z", "scale", "é", "..", "log", "nodes")),
                     max_size=9).map(lambda parts: "/" + "/".join(parts)),
       method=st.sampled_from(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")),
       query=st.dictionaries(st.sampled_from(("watch", "limit", "continue", "labelSelector", "fieldSelector", "dryRun",
                                              "resourceVersion", "resourceVersionMatch", "sendInitialEvents",
                                              "timeoutSeconds", "fieldManager", "pretty", "gracePeriodSeconds",
                                              "includeObject", "tailLines", "container")),
                             st.text(max_size=6) | st.sampled_from(("true", "1", "All", "x=y", "Exact"))))
def test_any_path_and_query(world, path, method, query):
    check(world.send(method, path, headers={"accept": "*/*"}, **query))


LAUGHS = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + i, 98 + i, b", ".join([b"*%c" % (97 + i)] * 9)) for i in range(9))


@pytest.mark.parametrize("text", [b"[" * 100_000, b"- " * 50_000, b"{a: " * 50_000, b"a: &a {b: *a}", LAUGHS])
def test_yaml_that_would_exhaust_stack_or_memory(world, text):
    answer = world.send("POST", "/api/v1/namespaces/default/pods", text, headers={"content-type": "application/yaml"})
    assert answer.code == 400
