"""CustomResourceDefinitions.

Source: k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]


def definition(obj: Obj) -> None:
    names = obj["spec"]["names"]
    kind = names.get("kind", "")
    if not names.get("singular") and kind:
        names["singular"] = kind.lower()
    if not names.get("listKind") and kind:
        names["listKind"] = f"{kind}List"
    obj["spec"].setdefault("conversion", {"strategy": "None"})
    if not obj["status"].get("storedVersions"):
        stored = [version["name"] for version in obj["spec"].get("versions") or () if version.get("storage")]
        if stored:
            obj["status"]["storedVersions"] = stored[:1]


def service_reference(obj: Obj) -> None:
    obj.setdefault("port", 443)


HOOKS = {
    "apiextensions/v1.CustomResourceDefinition": definition, "apiextensions/v1.ServiceReference": service_reference,
}
