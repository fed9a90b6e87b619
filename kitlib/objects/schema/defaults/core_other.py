"""The rest of the core group: Secrets, Namespaces, Nodes, LimitRanges, ReplicationControllers.

Source: pkg/apis/core/v1/defaults.go; pkg/apis/core/v1/conversion.go (stringData, podCIDR).
"""

from __future__ import annotations

import base64
from typing import Any

from kitlib.objects.schema.defaults.core_pod import first_of

Obj = dict[str, Any]
NAME_LABEL = "kubernetes.io/metadata.name"


def secret(obj: Obj) -> None:
    obj.setdefault("type", "Opaque")
    plain = obj.pop("stringData", None)  # write-only: lands in data, over what is there
    if plain:
        data = obj.setdefault("data", {})
        for key, text in plain.items():
            data[key] = base64.b64encode(text.encode(errors="replace")).decode()


def namespace(obj: Obj) -> None:
    name = obj["metadata"].get("name")
    if name:
        obj["metadata"].setdefault("labels", {}).setdefault(NAME_LABEL, name)


def namespace_status(obj: Obj) -> None:
    obj.setdefault("phase", "Active")


def node_status(obj: Obj) -> None:
    if "allocatable" not in obj and "capacity" in obj:
        obj["allocatable"] = dict(obj["capacity"])


def node_spec(obj: Obj) -> None:
    first_of(obj, "podCIDR", "podCIDRs", str, str)


def limit_range_item(obj: Obj) -> None:
    """For containers, a maximum is the default limit, and a default limit or a minimum the default request."""
    if obj.get("type") != "Container":
        return
    limit, request = obj.get("default") or {}, obj.get("defaultRequest") or {}
    limit = {**(obj.get("max") or {}), **limit}
    request = {**(obj.get("min") or {}), **limit, **request}
    for key, value in (("default", limit), ("defaultRequest", request)):
        if value:
            obj[key] = value


def replication_controller(obj: Obj) -> None:
    template = obj["spec"].get("template") or {}
    labels = (template.get("metadata") or {}).get("labels")
    if labels:
        if not obj["spec"].get("selector"):
            obj["spec"]["selector"] = dict(labels)
        if not obj["metadata"].get("labels"):
            obj["metadata"]["labels"] = dict(labels)


HOOKS = {
    "core/v1.Secret": secret, "core/v1.Namespace": namespace, "core/v1.NamespaceStatus": namespace_status,
    "core/v1.NodeStatus": node_status, "core/v1.NodeSpec": node_spec, "core/v1.LimitRangeItem": limit_range_item,
    "core/v1.ReplicationController": replication_controller,
}
