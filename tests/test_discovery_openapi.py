"""OpenAPI: what `kubectl apply`, `explain` and `diff` read."""

from __future__ import annotations

import json
import re
import zlib
from types import SimpleNamespace

import pytest

from kitlib.api.discovery import discovery
from kitlib.api.kind import STATUS, Kind, Registry, scale
from kitlib.api.kinds import BUILTIN
from kitlib.api.request import Request
from kitlib.objects.errors import StatusError

SCHEMA = {"type": "object", "properties": {"spec": {"type": "object", "description": "What is wanted.",
                                                    "properties": {"size": {"type": "integer"}}}}}


@pytest.fixture(scope="module")
def api():
    return SimpleNamespace(registry=Registry(BUILTIN), config=SimpleNamespace(
        git_version="v1.36.2", address="127.0.0.1", port=6443))


def get(api, target, **headers):
    path, _, query = target.partition("?")
    request = Request("GET", path, {"hash": [query.partition("=")[2]]} if query else {}, headers)
    return discovery(api, request)


def document(api, path):
    return json.loads(get(api, path).body)


def dangling(document, prefix):
    """References to definitions that are not there."""
    names = document["definitions"] if prefix == "#/definitions/" else document["components"]["schemas"]
    return {name for name in re.findall(f'"{prefix}([^"]+)"', json.dumps(document)) if name not in names}


def test_the_index_leads_to_a_document_for_every_group_version(api):
    index = document(api, "/openapi/v3")["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/autoscaling/v2", "apis/metrics.k8s.io/v1beta1"} <= set(index)
    for entry in index.values():
        response = get(api, entry["serverRelativeURL"])
        assert response.headers["Cache-Control"] == "public, immutable"
        assert dangling(json.loads(response.body), "#/components/schemas/") == set()


def test_patch_says_that_the_server_validates_fields(api):
    paths = document(api, "/openapi/v3/apis/apps/v1")["paths"]
    patch = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert patch["x-kubernetes-action"] == "patch"
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]


def test_paths_follow_the_declarations(api):
    paths = document(api, "/openapi/v3/api/v1")["paths"]
    assert set(paths["/api/v1/namespaces/{namespace}/pods/{name}/eviction"]) == {"post", "parameters"}
    assert set(paths["/api/v1/namespaces"]) == {"get", "post", "parameters"}  # no deletecollection of namespaces
    assert paths["/api/v1/namespaces/{namespace}/pods/{name}/exec"]["get"]["x-kubernetes-action"] == "connect"
    assert paths["/api/v1/pods"]["get"]["operationId"] == "listCoreV1PodForAllNamespaces"
    schema = paths["/api/v1/pods"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/io.k8s.api.core.v1.PodList"}


def test_operation_ids_are_unique(api):
    for path in document(api, "/openapi/v3")["paths"]:
        ids = [operation["operationId"] for item in document(api, f"/openapi/v3/{path}")["paths"].values()
               for method, operation in item.items() if method != "parameters"]
        assert len(ids) == len(set(ids)), path


def test_types_carry_their_kind_and_the_text_for_explain(api):
    schemas = document(api, "/openapi/v3/apis/apps/v1")["components"]["schemas"]
    deployment = schemas["io.k8s.api.apps.v1.Deployment"]
    assert deployment["x-kubernetes-group-version-kind"] == [{"group": "apps", "version": "v1", "kind": "Deployment"}]
    assert "replicas" in schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]
    assert schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["replicas"]["description"]


def test_what_another_group_defines_is_brought_along(api):
    found = document(api, "/openapi/v3/apis/apps/v1")
    assert "io.k8s.api.autoscaling.v1.Scale" in found["components"]["schemas"]


def test_a_custom_resource_is_described_and_changes_the_hash(api):
    def index():
        return document(api, "/openapi/v3")["paths"].get("apis/example.com/v1", {}).get("serverRelativeURL")

    def serve(schema):
        api.registry.add(Kind("example.com", "v1", "Widget", "widgets", custom=SimpleNamespace(openapi=schema),
                              subresources=(scale(), STATUS)))

    assert index() is None
    serve(SCHEMA)
    first = index()
    found = document(api, "/openapi/v3/apis/example.com/v1")
    widget = found["components"]["schemas"]["com.example.v1.Widget"]
    assert widget["properties"]["spec"]["description"] == "What is wanted."
    patch = found["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]
    assert dangling(found, "#/components/schemas/") == set()
    serve({**SCHEMA, "description": "changed"})
    assert index() != first
    assert document(api, "/openapi/v3/apis/example.com/v1") != found
    api.registry.remove("example.com", "v1", "widgets")
    assert get(api, "/openapi/v3/apis/example.com/v1") is None


def test_the_older_document_has_everything_in_one(api):
    found = document(api, "/openapi/v2")
    assert (found["swagger"], found["info"]["title"]) == ("2.0", "Kubernetes")
    assert dangling(found, "#/definitions/") == set()
    deployment = found["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments"]["post"]
    body = next(parameter for parameter in deployment["parameters"] if parameter["in"] == "body")
    assert body["schema"] == {"$ref": "#/definitions/io.k8s.api.apps.v1.Deployment"}
    assert found["definitions"]["io.k8s.apimachinery.pkg.api.resource.Quantity"]["type"] == "string"
    json_schema = next(v for k, v in found["definitions"].items() if k.endswith(".v1.JSONSchemaProps"))
    assert {"$ref", "allOf", "oneOf", "properties"} <= set(json_schema["properties"])  # fields that look like keywords


def test_documents_are_sent_as_they_are_kept_to_clients_that_take_gzip(api):
    plain = get(api, "/openapi/v3/api/v1")
    packed = get(api, "/openapi/v3/api/v1", **{"accept-encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert zlib.decompress(packed.body, 31) == plain.body
    assert get(api, "/openapi/v3/api/v1", **{"if-none-match": plain.headers["ETag"]}).code == 304


def fields(data: bytes) -> list[tuple[int, bytes]]:
    """The fields of a protobuf message, those that have a length."""
    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = data[at]
            value, at, shift = value | (byte & 0x7F) << shift, at + 1, shift + 7
            if byte < 0x80:
                return value, at

    found, at = [], 0
    while at < len(data):
        tag, at = varint(at)
        size, at = varint(at)
        if tag & 7 == 2:
            found.append((tag >> 3, data[at:at + size]))
            at += size
    return found


def one(data: bytes, number: int) -> bytes:
    return next(value for field, value in fields(data) if field == number)


@pytest.mark.parametrize("media", ["application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
                                   "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"])
def test_old_kubectls_get_the_older_document_as_protobuf(api, media):
    response = get(api, "/openapi/v2", accept=media)
    assert response.content_type == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    document = fields(response.body)
    assert (1, b"2.0") in document
    paths = {one(item, 1).decode(): one(item, 2) for number, value in document if number == 8
             for _, item in fields(value)}
    patch = one(paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"], 8)
    # Operation.parameters > parameter > non-body > query > name
    names = [one(one(one(one(value, 1), 2), 3), 4) for number, value in fields(patch) if number == 8
             and fields(one(value, 1))[0][0] == 2]
    assert b"fieldValidation" in names
    extensions = {one(value, 1): one(one(value, 2), 2) for number, value in fields(patch) if number == 13}
    assert json.loads(extensions[b"x-kubernetes-group-version-kind"])["kind"] == "Deployment"
    definitions = {one(item, 1): one(item, 2) for number, value in document if number == 9 for _, item in fields(value)}
    properties = {one(item, 1) for _, item in fields(one(definitions[b"io.k8s.api.apps.v1.DeploymentSpec"], 25))}
    assert {b"replicas", b"template"} <= properties


def test_other_forms_are_not_to_be_had(api):
    with pytest.raises(StatusError) as refused:
        get(api, "/openapi/v3/api/v1", accept="application/com.github.proto-openapi.spec.v3@v1.0+protobuf")
    assert refused.value.code == 406
    assert get(api, "/openapi/v3/apis/none.example.com/v1") is None
