"""CustomResourceDefinitions: resources that are declared by an object instead of by code.

    CustomResourceDefinition ──▶ CustomVersion (shape: prune, default, types) per version
                             ──▶ Kind (names, subresources, columns)          ──▶ Registry

A definition is served from the moment it is stored.  In Kubernetes several controllers of
apiextensions-apiserver follow the definitions by watch; here the write itself calls `serve`, since
everything happens in one process, and a restart reads them all.

Source: k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kitlib.api.conversion import Conversion
from kitlib.api.kind import STATUS, Kind, SelectableField, Subresource
from kitlib.objects.errors import StatusError
from kitlib.objects.schema.custom import CustomSchema
from kitlib.objects.schema.typenode import TypeNode

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
ANYTHING: Mapping[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class CustomVersion:
    """The shape of one version of a custom resource; what `shapes.Shape` asks, and its openAPIV3Schema.

    conversion: the webhook that makes it out of other versions, None if only their apiVersion differs.
    """

    custom = True

    def __init__(self, group: str, version: str, kind: str, openapi: Mapping[str, Any], several: bool,
                 conversion: Conversion | None) -> None:
        self.name, self.version, self.openapi, self.several = kind, version, openapi, several
        self.conversion = conversion
        self.api_version = f"{group}/{version}"
        self._schema = CustomSchema(group, version, kind, openapi)

    @property
    def node(self) -> TypeNode:
        return self._schema.node

    def decode(self, raw: dict[str, Any]) -> tuple[dict[str, Any], str, list[str]]:
        made, problems, unknown = self._schema.decode(raw)
        made["apiVersion"], made["kind"] = self.api_version, self.name
        if "metadata" not in made:
            made["metadata"] = {}
        wrong = f"unable to decode {self.name}: {problems[0].message}" if problems else ""
        return made, wrong, unknown

    def protobuf(self, data: bytes) -> dict[str, Any]:
        raise StatusError(415, "UnsupportedMediaType", "custom resources have no protobuf form")


class CustomResources:
    """The kinds that definitions have made."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._served: dict[str, list[Kind]] = {}
        self._conversions: dict[str, Conversion] = {}
        for entry in api.store.list(DEFINITIONS):
            self.serve(entry.obj)

    def serve(self, definition: dict[str, Any]) -> None:
        """Serve a definition as it is now."""
        name = definition["metadata"]["name"]
        self.withdraw(name)
        registry, kinds = self._api.registry, []
        for kind, served in kinds_of(definition, self._conversion(definition)):
            if served:
                registry.add(kind)
                kinds.append(kind)
            elif kind.storage_version:
                registry.add_stored(kind)
        self._served[name] = kinds
        self._api.strategies.pop(name, None)

    def _conversion(self, definition: dict[str, Any]) -> Conversion | None:
        """The definition's webhook.  It stays the same one when it moves: watches that go on hold it."""
        declared, name = definition["spec"].get("conversion") or {}, definition["metadata"]["name"]
        if declared.get("strategy") != "Webhook":
            self._conversions.pop(name, None)
            return None
        conversion = self._conversions.get(name)
        if conversion is None:
            conversion = self._conversions[name] = Conversion(self._api, name)
        conversion.configure(declared["webhook"])
        return conversion

    def withdraw(self, name: str) -> None:
        """Stop serving a definition."""
        for kind in self._served.pop(name, ()):
            self._api.registry.remove(kind.group, kind.version, kind.plural)


def kinds_of(definition: dict[str, Any], conversion: Conversion | None = None) -> Iterator[tuple[Kind, bool]]:
    """(kind, is it served) for every version of a definition."""
    spec = definition["spec"]
    names, group, versions = spec["names"], spec["group"], spec["versions"]
    stored = next((f"{group}/{version['name']}" for version in versions if version.get("storage")), "")
    for version in versions:
        openapi = (version.get("schema") or {}).get("openAPIV3Schema") or ANYTHING
        custom = CustomVersion(group, version["name"], names["kind"], openapi, len(versions) > 1, conversion)
        yield Kind(
            group, version["name"], names["kind"], names["plural"], names.get("singular", ""),
            tuple(names.get("shortNames") or ()), tuple(names.get("categories") or ()),
            namespaced=spec.get("scope") == "Namespaced", subresources=tuple(_subresources(version)),
            selectable=tuple(SelectableField(field["jsonPath"].lstrip("."))
                             for field in version.get("selectableFields") or ()),
            storage_version=bool(version.get("storage")), generation=True, unconditional_update=False,
            typed_items=True, custom=custom, columns=tuple(version.get("additionalPrinterColumns") or ()),
            list_kind=names.get("listKind", ""),
            from_storage=conversion.to(custom.api_version) if conversion else None,
            to_storage=conversion.to(stored) if conversion else None), bool(version.get("served"))


def _subresources(version: Mapping[str, Any]) -> Iterator[Subresource]:
    declared = version.get("subresources") or {}
    if declared.get("status") is not None:
        yield STATUS
    scale = declared.get("scale")
    if scale is not None:
        yield Subresource("scale", group="autoscaling", version="v1", kind="Scale",
                          spec_path=scale.get("specReplicasPath", "").lstrip("."),
                          status_path=scale.get("statusReplicasPath", "").lstrip("."),
                          selector_path=scale.get("labelSelectorPath", "").lstrip("."))
