"""Requests made out of the OpenAPI document that the server itself serves, with everything that can be wrong in them.

`Operations` reads /openapi/v3 like any client; `Maker` turns an operation into a request: most of what it
fills in has the declared type, some of it is odd, and now and then the bytes themselves are broken.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from api_world import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, World, read

PATCHES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)
METHODS = ("get", "post", "put", "patch", "delete")
NAMES = ("a", "b", "default", "kube-system", "x-y", "A", "", "..", "a/b", "é", "a" * 300, "system:x", "%00", "things")
TEXTS = ("", "a", "a.b", "10", "1Gi", "-1", "50%", "default", "Always", "TCP", "2024-01-01T00:00:00Z", "*", "10.0.0.1",
         "10.0.0.0/8", "::1", "é", "None", "@daily", "v1", "Pod", "In", "Never", "eA==", "\x00",
         "kubernetes.io/x", "\ud7ff", "a=b", "!a", "metadata.name=a", "a in (b", "true", "All", "Strict", "Exact",
         "99999999999999999999999")
ODD = (None, 0, -1, 2**63, 2**70, 1.5, 1e300, True, "", "x", [], {}, [None], [{}], [[]], {"a": None}, {"": {}},
       {"$patch": "delete"}, {"$patch": "x"}, {"$setElementOrder/containers": [1]}, [{"$patch": "replace"}])
ACCEPTS = ("application/json", "*/*", "application/yaml", "application/json;as=Table;v=v1;g=meta.k8s.io",
           "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "application/vnd.kubernetes.protobuf", "x",
           ";", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json", "text/plain;q=x")
MEDIA = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "", "x/y", "application/cbor",
         "application/json; charset=utf-8", *PATCHES)
HEADERS = (*({},) * 60, {"impersonate-user": "bob"}, {"impersonate-group": "g"}, {"impersonate-uid": "1"},
           {"impersonate-user": "system:serviceaccount:a:b", "impersonate-extra-%41": "x"},
           {"authorization": "Basic eDp5"}, {"authorization": "Bearer a.b.c"}, {"authorization": ""},
           {"user-agent": ""}, {"user-agent": "é/é"},
           {"accept-encoding": "gzip;q=x"}, {"kit-cause": "x"}, {"content-encoding": "gzip"}, {"if-match": "*"})


@dataclass(frozen=True)
class Operation:
    """One method of one path.  parameters: names of the query's; body: the schema, {} for none."""

    method: str
    path: str
    parameters: tuple[str, ...]
    body: dict[str, Any]
    document: dict[str, Any]


def operations(world: World) -> list[Operation]:
    """All that the server says it can do."""
    found = []
    for entry in read(world.get("/openapi/v3"))["paths"].values():
        document = read(world.get(entry["serverRelativeURL"].partition("?")[0]))
        for path, item in document["paths"].items():
            for method in METHODS:
                if method in item:
                    found.append(_operation(method, path, item, document))
    return found


def _operation(method: str, path: str, item: dict[str, Any], document: dict[str, Any]) -> Operation:
    declared = [*item.get("parameters", []), *item[method].get("parameters", [])]
    names = tuple(p["name"] for p in (_resolve(p, document) for p in declared) if p.get("in") == "query")
    content = item[method].get("requestBody", {}).get("content", {})
    schema = next((each.get("schema", {}) for each in content.values()), {})
    return Operation(method.upper(), path, names, schema, document)


def _resolve(node: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Follow $ref and the allOf that wraps one."""
    while True:
        if "$ref" in node:
            target: Any = document
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            node = target
        elif len(node.get("allOf", ())) == 1:
            node = node["allOf"][0]
        else:
            return node


class Maker:
    """Makes requests.  oddity: how often a value has not the declared type; texts: what strings are made of."""

    def __init__(self, source: random.Random, oddity: float = 0.04, texts: tuple[str, ...] = TEXTS) -> None:
        self.source, self.oddity, self.texts = source, oddity, texts

    def value(self, schema: dict[str, Any], document: dict[str, Any], depth: int = 0) -> Any:
        source, schema = self.source, _resolve(schema, document)
        if source.random() < self.oddity or depth > 8:
            return source.choice(ODD)
        if "properties" in schema:
            chance = 0.8 if depth < 2 else 0.5 if depth < 4 else 0.3
            return {name: self.value(child, document, depth + 1) for name, child in schema["properties"].items()
                    if source.random() < chance or name in schema.get("required", ())}
        kind = schema.get("type", "")
        if kind == "array":
            items = schema.get("items", {})
            return [self.value(items, document, depth + 1) for _ in range(source.choice((0, 1, 1, 2)))]
        if kind == "object" and "additionalProperties" in schema:
            return {source.choice(self.texts): self.value(schema["additionalProperties"], document, depth + 1)
                    for _ in range(source.choice((0, 1, 2)))}
        if kind == "integer":
            return source.choice((0, 1, -1, 80, 2**31, 2**40))
        if kind == "boolean":
            return source.random() < 0.5
        if kind == "number":
            return 1.5
        return source.choice(self.texts) if kind == "string" or "oneOf" in schema else source.choice(ODD)

    def object(self, operation: Operation, name: str) -> Any:
        """A body of the declared type, as a rule with the right kind and a good name."""
        made = self.value(operation.body, operation.document)
        schema = _resolve(operation.body, operation.document)
        kinds = schema.get("x-kubernetes-group-version-kind", [])
        if isinstance(made, dict) and kinds and self.source.random() < 0.95:
            kind = kinds[0]
            made |= {"kind": kind["kind"], "apiVersion": "/".join(filter(None, (kind["group"], kind["version"])))}
            if self.source.random() < 0.9:
                made["metadata"] = {"name": name}
        return made

    def patch(self, operation: Operation, media: str) -> Any:
        if media != JSON_PATCH:
            return self.value(operation.body, operation.document)
        steps = ("metadata", "spec", "labels", "status", "data", "0", "-", "", "~", "a~1b", "containers", "-1", "x")
        return [{"op": self.source.choice(("add", "remove", "replace", "move", "copy", "test", "x")),
                 "path": "/" + "/".join(self.source.choices(steps, k=self.source.randint(0, 4))),
                 "from": "/" + "/".join(self.source.choices(steps, k=self.source.randint(0, 3))),
                 "value": self.source.choice(ODD)} for _ in range(self.source.randint(0, 4))]

    def bytes(self, value: Any) -> bytes:
        """Mostly JSON; now and then YAML, a piece of it, or something in its place."""
        data = json.dumps(value).encode()
        chance = self.source.random()
        if chance > 0.12:
            return data
        at = self.source.randrange(len(data))
        return self.source.choice((
            data[:at], data[:at] + b"\x00" + data[at:], data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1:],
            data + data, b"k8s\x00" + data, b"\xff\xfe" + data, b"", b"null", b"[]", b'"x"', b"- a\n- b", b"a: &x [*x]",
            b"{" * 300,
            b"k8s\x00\n\x0a\n\x02v1\x12\x03Pod\x12\xff\xff\xff\xff\x0f", bytes(self.source.randbytes(50))))

    def request(self, operation: Operation) -> dict[str, Any]:
        """Keyword arguments of World.send."""
        source, name = self.source, self.source.choice(NAMES[:3])
        path = operation.path
        while "{" in path:
            before, _, rest = path.partition("{")
            label, _, after = rest.partition("}")
            usual = "default" if label == "namespace" else name
            path = before + (usual if source.random() < 0.85 else source.choice(NAMES)) + after
        method = operation.method if source.random() < 0.95 else source.choice(("GET", "HEAD", "PUT", "POST", "TRACE"))
        query = {parameter: source.choice((*self.texts, "1", "0", "true")) for parameter in operation.parameters
                 if source.random() < 0.06}
        headers = dict(source.choice(HEADERS))
        headers["accept"] = source.choice(ACCEPTS) if source.random() < 0.3 else "application/json"
        body = b""
        if operation.body and method in ("POST", "PUT", "PATCH", "DELETE"):
            media = source.choice(PATCHES) if operation.method == "PATCH" else "application/json"
            if media == APPLY_PATCH:
                query["fieldManager"] = "fuzz"
            body = self.bytes(self.patch(operation, media) if operation.method == "PATCH" and media != APPLY_PATCH
                              else self.object(operation, name))
            headers["content-type"] = media if source.random() < 0.95 else source.choice(MEDIA)
        return {"method": method, "path": path, "body": body, "headers": headers, **query}
