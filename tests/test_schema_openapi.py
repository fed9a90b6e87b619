"""OpenAPI documents: complete, without loose ends, with text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kitlib.objects.schema.descriptions import NO_TEXTS, Texts, _read, models, texts_of
from kitlib.objects.schema.openapi import REF, components, custom_components
from kitlib.objects.schema.tables import folders, table


def silent(_ref: str) -> Texts:
    return NO_TEXTS


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].removeprefix(REF)
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def group_versions() -> list[str]:
    found = [table(folder) for folder in folders() if folder != "meta/v1"]
    return [f"{each.group}/{each.version}".lstrip("/") for each in found]


@pytest.mark.parametrize("group_version", group_versions())
def test_every_document_is_complete(group_version: str) -> None:
    made = components(group_version, silent)
    assert set(references(made)) <= made.keys()
    kinds = {entry["kind"] for each in made.values() for entry in each.get("x-kubernetes-group-version-kind", ())}
    group, _, version = group_version.rpartition("/")
    folder = f"{group.partition('.')[0] or 'core'}/{version}"
    assert kinds >= table(folder).kinds | {"DeleteOptions", "Status"}


def test_what_kubectl_reads_of_a_field() -> None:
    made = components("v1", silent)
    pod = made["io.k8s.api.core.v1.Pod"]
    assert pod["x-kubernetes-group-version-kind"] == [{"group": "", "version": "v1", "kind": "Pod"}]
    container = made["io.k8s.api.core.v1.Container"]
    assert container["required"] == ["name"]
    assert container["properties"]["ports"] == {
        "type": "array", "items": {"allOf": [{"$ref": f"{REF}io.k8s.api.core.v1.ContainerPort"}], "default": {}},
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
        "x-kubernetes-patch-merge-key": "containerPort", "x-kubernetes-patch-strategy": "merge"}
    port = made["io.k8s.api.core.v1.ContainerPort"]["properties"]
    assert port["protocol"] == {"type": "string", "enum": ["SCTP", "TCP", "UDP"], "default": "TCP"}
    assert port["containerPort"] == {"type": "integer", "format": "int32", "default": 0}
    quantities = made["io.k8s.api.core.v1.ResourceRequirements"]["properties"]["limits"]
    assert quantities == {"type": "object", "additionalProperties": {
        "allOf": [{"$ref": f"{REF}io.k8s.apimachinery.pkg.api.resource.Quantity"}]}}
    assert made["io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"]["x-kubernetes-map-type"] == "atomic"


def test_texts_come_from_the_installed_client() -> None:
    assert models() is not None, "the kubernetes client is a dependency"
    pod = texts_of("core/v1.PodSpec")
    assert "containers belonging to the pod" in pod.fields["containers"]
    assert "node" in texts_of("core/v1.NodeSpec").fields["podCIDR"].lower()
    assert components("v1")["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]["description"]


def test_texts_of_all_groups_are_found_by_the_clients_file_names() -> None:
    named = ["core/v1.Event", "events/v1.Event", "rbac/v1.Subject", "flowcontrol/v1.Subject", "storage/v1.CSIDriver",
             "apiextensions/v1.JSONSchemaProps", "admissionregistration/v1.ServiceReference", "core/v1.PodIP",
             "apiregistration/v1.APIService", "autoscaling/v2.HPAScalingRules", "meta/v1.ObjectMeta"]
    assert [ref for ref in named if not texts_of(ref).fields] == []
    assert texts_of("metrics/v1beta1.NodeMetrics") == NO_TEXTS, "the client has no metrics"


def test_older_clients_keep_their_texts_in_getters() -> None:
    source = '''
class V1Thing(object):
    attribute_map = {
        'host_ip': 'hostIP',
        'kind': 'kind'
    }

    @property
    def host_ip(self):
        """Gets the host_ip of this V1Thing.  # noqa

        The address
        of the host.  # noqa

        :return: The host_ip of this V1Thing.
        """
        return self._host_ip
'''.replace("# noqa", "# noqa: E501")
    assert _read(source) == Texts("", {"hostIP": "The address of the host."})


def test_a_custom_resource_has_a_document_too() -> None:
    schema = {"type": "object", "description": "A thing.", "properties": {"spec": {"type": "object"}}}
    made = custom_components("example.com", "v1", "Thing", "ThingList", schema, silent)
    assert set(references(made)) <= made.keys()
    thing = made["com.example.v1.Thing"]
    assert thing["description"] == "A thing."
    assert set(thing["properties"]) == {"apiVersion", "kind", "metadata", "spec"}
    assert thing["x-kubernetes-group-version-kind"] == [{"group": "example.com", "version": "v1", "kind": "Thing"}]
    assert made["com.example.v1.ThingList"]["properties"]["items"]["items"] == {
        "allOf": [{"$ref": f"{REF}com.example.v1.Thing"}]}
