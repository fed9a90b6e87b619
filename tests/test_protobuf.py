"""Bodies as Go clients send them: captured from kubectl 1.37, and broken ones."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitlib.objects.schema import schema_for
from kitlib.objects.schema.protobuf import decode, message
from kitlib.objects.schema.protoscalars import ProtobufError
from kitlib.objects.schema.tables import folders, table

CONFIG_MAP = "azhzAAoPCgJ2MRIJQ29uZmlnTWFwEiIKGAoBYRIAGgdkZWZhdWx0IgAqADIAOABCABIGCgF4EgF5GgAiAA=="
DEPLOYMENT = (
    "azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50Er8BCiYKA3dlYhIAGgdkZWZhdWx0IgAqADIAOABCAFoKCgNhcHASA3dlYhKGAQgCEgwKCgoDYXBw"
    "EgN3ZWIabAocCgASABoAIgAqADIAOABCAFoKCgNhcHASA3dlYhJMEi4KBW5naW54EgVuZ2lueCoAMgoKABAAGFAiACoAQgBqAHIAgAEAiAEAkAEA"
    "ogEAGgAyAEIASgBSAFgAYABoAIIBAIoBAJoBAMIBACICCgAoADgAGgwIABAAGAAgACgAOAAaACIA")
TOKEN = "azhzAAooChhhdXRoZW50aWNhdGlvbi5rOHMuaW8vdjESDFRva2VuUmVxdWVzdBIdChAKABIAGgAiACoAMgA4AEIAEgMgkBwaBAoAEgAaACIA"
REVIEW = (
    "azhzAAoyChdhdXRob3JpemF0aW9uLms4cy5pby92MRIXU2VsZlN1YmplY3RBY2Nlc3NSZXZpZXcSPAoQCgASABoAIgAqADIAOABCABIeChwKB2Rl"
    "ZmF1bHQSA2dldBoAIgAqBHBvZHMyADoAGggIABIAGgAgABoAIgA=")
SERVICE = (
    "azhzAAoNCgJ2MRIHU2VydmljZRJqCiIKAXMSABoHZGVmYXVsdCIAKgAyADgAQgBaCAoDYXBwEgFzEkAKGwoHODAtODA4MBIDVENQGFAiBwgAEJA/"
    "GgAoABIICgNhcHASAXMaACIJQ2x1c3RlcklQOgBCAFIAWgBgAGgAGgIKABoAIgA=")
INGRESS = (
    "azhzAAofChRuZXR3b3JraW5nLms4cy5pby92MRIHSW5ncmVzcxJEChgKAWkSABoHZGVmYXVsdCIAKgAyADgAQgASJBoiCgFoEh0KGwoZCgIvcBIL"
    "IgkKAXMSBAoAEFAaBlByZWZpeBoCCgAaACIA")


def canonical(text: str) -> dict[str, Any]:
    """What the API makes of a body."""
    obj = decode(base64.b64decode(text))
    group, _, version = obj["apiVersion"].rpartition("/")
    decoded = schema_for(group, version, obj["kind"]).decode(obj, defaults=False)
    assert (decoded.problems, decoded.unknown) == ([], [])
    return decoded.obj


def test_kubectl_create_configmap() -> None:
    assert canonical(CONFIG_MAP) == {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}, "data": {"x": "y"}}


def test_kubectl_create_deployment() -> None:
    assert canonical(DEPLOYMENT) == {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "strategy": {}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{
                "name": "nginx", "image": "nginx", "ports": [{"containerPort": 80}], "resources": {}}]}}},
        "status": {}}


def test_kubectl_create_token_and_auth_can_i() -> None:
    assert canonical(TOKEN)["spec"] == {"audiences": None, "expirationSeconds": 3600, "boundObjectRef": None}
    assert canonical(REVIEW)["spec"] == {"resourceAttributes": {
        "namespace": "default", "verb": "get", "resource": "pods"}}


def test_int_or_string_and_embedded_messages() -> None:
    assert canonical(SERVICE)["spec"]["ports"] == [{
        "name": "80-8080", "protocol": "TCP", "port": 80, "targetPort": 8080}]
    rule = canonical(INGRESS)["spec"]["rules"][0]
    assert rule == {"host": "h", "http": {"paths": [{
        "path": "/p", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}


# -- bodies made by hand ---------------------------------------------------------------------------------------

def varint(number: int) -> bytes:
    out = bytearray()
    number &= 2**64 - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: bytes | int) -> bytes:
    """A field of a message: text and messages are bytes, everything else a varint."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def body(api_version: str, kind: str, raw: bytes) -> bytes:
    type_meta = field(1, api_version.encode()) + field(2, kind.encode())
    return b"k8s\x00" + field(1, type_meta) + field(2, raw)


def test_delete_options_of_any_group() -> None:
    raw = field(1, 0) + field(2, field(1, b"uid-1")) + field(4, b"Foreground") + field(5, b"All")
    assert decode(body("policy/v1", "DeleteOptions", raw)) == {
        "apiVersion": "policy/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
        "preconditions": {"uid": "uid-1"}, "propagationPolicy": "Foreground", "dryRun": ["All"]}


def test_times_and_the_zero_time() -> None:
    moment = field(1, 1577836800) + field(2, 123_456_789)
    lease = decode(body("coordination.k8s.io/v1", "Lease", field(1, field(8, b"")) + field(2, field(4, moment))))
    assert lease["spec"] == {"renewTime": "2020-01-01T00:00:00.123456Z"}
    assert lease["metadata"] == {"creationTimestamp": None}
    pod = decode(body("v1", "Pod", field(1, field(9, moment) + field(10, -5))))
    assert pod["metadata"] == {"deletionTimestamp": "2020-01-01T00:00:00Z", "deletionGracePeriodSeconds": -5}


def test_quantities_in_maps() -> None:
    entry = field(1, b"cpu") + field(2, field(1, b"250m"))
    container = field(1, b"c") + field(8, field(1, entry))
    pod = decode(body("v1", "Pod", field(2, field(2, container))))
    assert pod["spec"]["containers"] == [{"name": "c", "resources": {"limits": {"cpu": "250m"}}}]


def test_volumes_are_flattened() -> None:
    config_map = field(1, field(1, b"cm")) + field(3, 420) + field(4, 1)
    volume = field(1, b"v") + field(2, field(19, config_map))
    assert decode(body("v1", "Pod", field(2, field(1, volume))))["spec"]["volumes"] == [
        {"name": "v", "configMap": {"name": "cm", "defaultMode": 420, "optional": True}}]


def test_raw_extensions_are_json() -> None:
    made = decode(body("apps/v1", "ControllerRevision", field(2, field(1, b'{"a": [1]}')) + field(3, 7)))
    assert (made["data"], made["revision"]) == ({"a": [1]}, 7)
    with pytest.raises(ProtobufError, match="not JSON"):
        decode(body("apps/v1", "ControllerRevision", field(2, field(1, b"{"))))


def test_wrapped_lists_in_maps() -> None:
    extra = field(1, b"scopes") + field(2, field(1, b"a") + field(1, b"b"))
    made = decode(body("authorization.k8s.io/v1", "SubjectAccessReview", field(2, field(5, extra))))
    assert made["spec"]["extra"] == {"scopes": ["a", "b"]}


def test_a_schemas_unions_and_numbers() -> None:
    text = field(5, b"string") + varint(9 << 3 | 1) + bytes.fromhex("000000000000f83f")
    schema = field(24, field(1, text)) + field(30, field(1, 1))
    version = field(1, b"v1") + field(4, field(1, schema))
    made = decode(body("apiextensions.k8s.io/v1", "CustomResourceDefinition", field(2, field(7, version))))
    assert made["spec"]["versions"][0]["schema"]["openAPIV3Schema"] == {
        "items": {"type": "string", "maximum": 1.5}, "additionalProperties": True}


def test_fields_of_a_newer_client_are_skipped() -> None:
    assert decode(body("v1", "ConfigMap", field(2, field(1, b"a") + field(2, b"b")) + field(999, b"x"))) == {
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}


def test_every_type_of_every_table_can_be_read() -> None:
    read = 0
    for folder in folders():
        for name, fields in table(folder).types.items():
            if any(row[3] for row in fields):
                assert message(f"{folder}.{name}")(b"") == {}
                read += 1
    assert read > 500


@pytest.mark.parametrize(("data", "why"), [
    (b"", "does not appear to be a protobuf"),
    (b"{}", "does not appear to be a protobuf"),
    (b"k8s\x00", "no kind"),
    (body("v1", "Nonsense", b""), 'no kind "Nonsense" is registered for version "v1"'),
    (body("v1", "Pod", b"\x0a\xff"), "unexpected EOF"),
    (body("v1", "Pod", b"\x0a\x05a"), "unexpected EOF"),
    (body("v1", "Pod", b"\x0f"), "illegal wireType 7"),
    (body("v1", "Pod", field(1, 5)), "wrong wireType"),
    (body("v1", "Pod", field(1, field(1, b"\xff\xfe"))), "not UTF-8"),
    (body("v1", "Pod", b"\xff" * 11), "integer overflow"),
])
def test_broken_bodies_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(ProtobufError, match=why):
        decode(data)


def test_a_schema_nested_too_deep_is_refused() -> None:
    schema = b""
    for _ in range(2000):
        schema = field(28, schema)
    version = field(1, b"v1") + field(4, field(1, schema))
    with pytest.raises(ProtobufError, match="max depth"):
        decode(body("apiextensions.k8s.io/v1", "CustomResourceDefinition", field(2, field(7, version))))


@given(st.binary(max_size=200), st.sampled_from([CONFIG_MAP, DEPLOYMENT, SERVICE]), st.integers(0, 300))
def test_noise_is_refused_or_read_but_never_crashes(noise: bytes, text: str, cut: int) -> None:
    whole = base64.b64decode(text)
    for data in (whole[:cut] + noise, whole[:cut] + noise + whole[cut:], body("v1", "Pod", noise)):
        try:
            made = decode(data)
        except ProtobufError:
            continue
        assert isinstance(made, dict)
