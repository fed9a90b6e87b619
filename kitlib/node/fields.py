"""The downward API: what a Pod can learn about itself, as environment variables and as files.

Source: pkg/fieldpath/fieldpath.go, k8s.io/component-helpers/resource (ExtractContainerResourceValue).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_CEILING
from typing import Any

from ..objects import quantity

_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")
DEFAULTS = {"cpu": "1", "memory": "1", "ephemeral-storage": "1"}


class ConfigError(Exception):
    """A container cannot be configured: CreateContainerConfigError with this sentence."""


def field_value(pod: Mapping[str, Any], path: str, pod_ip: str = "", host_ip: str = "") -> str:
    """The text of a `fieldRef`.  Addresses are given, because the status that will show them is written later."""
    meta, spec = pod["metadata"], pod["spec"]
    match = _SUBSCRIPT.match(path)
    if match:
        return (meta.get(match[1]) or {}).get(match[2], "")
    if path in ("metadata.labels", "metadata.annotations"):
        return _lines(meta.get(path.partition(".")[2]) or {})
    simple = {
        "metadata.name": meta.get("name", ""), "metadata.namespace": meta.get("namespace", ""),
        "metadata.uid": meta.get("uid", ""), "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.hostIP": host_ip, "status.hostIPs": host_ip, "status.podIP": pod_ip, "status.podIPs": pod_ip,
    }
    if path not in simple:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return simple[path]


def _lines(values: Mapping[str, str]) -> str:
    """Sorted `key="value"` lines, the value quoted as Go's %q does."""
    return "\n".join(f"{key}={_quote(value)}" for key, value in sorted(values.items()))


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped.replace(chr(13), chr(92) + "r")}"'


def resource_value(container: Mapping[str, Any], resource: str, divisor: str, allocatable: Mapping[str, str]) -> str:
    """The number of a `resourceFieldRef`, rounded up; a missing limit means all the node has."""
    kind, _, name = resource.partition(".")
    if kind not in ("requests", "limits"):
        raise ConfigError(f"unsupported container resource : {resource}")
    value = ((container.get("resources") or {}).get(kind) or {}).get(name)
    if value is None and kind == "limits":
        value = allocatable.get(name, "0")
    unit = quantity.parse(divisor) if divisor and quantity.parse(divisor) else quantity.parse(DEFAULTS.get(name, "1"))
    return str((quantity.parse(value or "0") / unit).to_integral_value(ROUND_CEILING))
