"""CustomResourceDefinitions: names, versions, conversion, columns; the schemas are `crd_schema`'s.

Paths in the answers are those of apiextensions' internal form, in which what all versions have in common
lies at the top: `spec.validation`, `spec.additionalPrinterColumns`, `spec.version`.

Source: k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kitlib.api.validation.common import Errors, Obj, each, immutable, one_of
from kitlib.api.validation.crd_schema import root_schema
from kitlib.api.validation.webhooks import client_config
from kitlib.objects import field, names

_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")


def create_customresourcedefinition(errs: Errors, obj: Obj) -> None:
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name", "")
    group, plural = spec.get("group", ""), (spec.get("names") or {}).get("plural", "")
    if name and name != f"{plural}.{group}":
        errs.append(field.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    if not group:
        errs.append(field.required("spec.group"))
    else:
        problems = names.dns_subdomain(group)
        each(errs, "spec.group", group, problems)
        if not problems and "." not in group:
            errs.append(field.invalid("spec.group", group, "should be a domain with at least one dot"))
    one_of(errs, "spec.scope", spec.get("scope"), ("Cluster", "Namespaced"))
    versions = spec.get("versions") or []
    _versions(errs, versions, (obj.get("status") or {}).get("storedVersions") or [])
    _names(errs, "spec.names", spec.get("names") or {})
    _of_versions(errs, versions)
    if spec.get("conversion"):
        _conversion(errs, spec["conversion"])
    if spec.get("preserveUnknownFields"):
        errs.append(field.invalid("spec.preserveUnknownFields", True, "must be false"))


def _versions(errs: Errors, versions: list[dict[str, Any]], stored: list[str]) -> None:
    found = [version.get("name", "") for version in versions]
    if len(set(found)) != len(found):
        errs.append(field.invalid("spec.versions", found, "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        errs.append(field.invalid("spec.versions", found, "must have exactly one version marked as storage version"))
    for index, name in enumerate(found):
        problems = names.dns_1035_label(name)
        each(errs, f"spec.versions[{index}].name", name, problems)
        if index == 0:
            each(errs, "spec.version", name, problems)
        warning = versions[index].get("deprecationWarning")
        if warning is not None and not versions[index].get("deprecated"):
            errs.append(field.invalid(f"spec.versions[{index}].deprecationWarning", warning,
                                      "can only be set for deprecated versions"))
    if not stored:
        errs.append(field.invalid("status.storedVersions", stored, "must have at least one stored version"))
        return
    left = {name: index for index, name in enumerate(stored)}
    for version in versions:
        name = version.get("name", "")
        if version.get("storage") and name not in left:
            errs.append(field.invalid("status.storedVersions", stored, f"must have the storage version {name}"))
        left.pop(name, None)
    for name, index in left.items():
        errs.append(field.invalid(f"status.storedVersions[{index}]", name, "must appear in spec.versions"))


def _names(errs: Errors, path: str, found: Obj) -> None:
    for name in ("plural", "singular", "kind", "listKind"):
        text = found.get(name, "")
        if not text and name in ("plural", "kind"):
            errs.append(field.required(f"{path}.{name}"))
        elif text:
            kind = name in ("kind", "listKind")
            each(errs, f"{path}.{name}", text, names.dns_1035_label(text.lower() if kind else text))
    for index, short in enumerate(found.get("shortNames") or ()):
        each(errs, f"{path}.shortNames[{index}]", short, names.dns_1035_label(short))
    if found.get("kind") and found.get("kind") == found.get("listKind"):
        errs.append(field.invalid(f"{path}.listKind", found["listKind"], "kind and listKind may not be the same"))
    for index, category in enumerate(found.get("categories") or ()):
        each(errs, f"{path}.categories[{index}]", category, names.dns_1035_label(category))


def _of_versions(errs: Errors, versions: list[dict[str, Any]]) -> None:
    """Schema, columns and subresources: once at the top if all versions agree, else for each version."""
    for part, rule in _PARTS.items():
        values = [version.get(part) for version in versions]
        if all(value == values[0] for value in values) and part != "schema":
            if values and values[0]:
                rule(errs, f"spec.{part}", values[0])
            continue
        for index, value in enumerate(values):
            if value and part != "schema":
                rule(errs, f"spec.versions[{index}].{part}", value)
    schemas = [(version.get("schema") or {}).get("openAPIV3Schema") for version in versions]
    same = all(schema == schemas[0] for schema in schemas)
    for index, schema in enumerate(schemas):
        if not schema:
            errs.append(field.required(f"spec.versions[{index}].schema.openAPIV3Schema", "schemas are required"))
        elif not same:
            root_schema(errs, f"spec.versions[{index}].schema.openAPIV3Schema", schema)
        elif index == 0:
            root_schema(errs, "spec.validation.openAPIV3Schema", schema)


def _columns(errs: Errors, path: str, columns: list[dict[str, Any]]) -> None:
    for index, column in enumerate(columns):
        at = f"{path}[{index}]"
        if not column.get("name"):
            errs.append(field.required(f"{at}.name"))
        kind = column.get("type", "")
        if not kind:
            errs.append(field.required(f"{at}.type", f"must be one of {','.join(_COLUMN_TYPES)}"))
        elif kind not in _COLUMN_TYPES:
            errs.append(field.invalid(f"{at}.type", kind, f"must be one of {','.join(_COLUMN_TYPES)}"))
        if column.get("format") and column["format"] not in _FORMATS:
            errs.append(field.invalid(f"{at}.format", column["format"], f"must be one of {','.join(_FORMATS)}"))
        _json_path(errs, f"{at}.JSONPath", column.get("jsonPath", ""))


def _json_path(errs: Errors, path: str, text: str, required: bool = True) -> None:
    if not text:
        if required:
            errs.append(field.required(path))
    elif not text.startswith("."):
        errs.append(field.invalid(path, text, "must be a simple json path starting with '.'"))


def _subresources(errs: Errors, path: str, found: Obj) -> None:
    scale = found.get("scale")
    if scale is None:
        return
    for name, roots in (("specReplicasPath", (".spec",)), ("statusReplicasPath", (".status",)),
                        ("labelSelectorPath", (".spec", ".status"))):
        text = scale.get(name, "")
        if not text:
            if name != "labelSelectorPath":
                errs.append(field.required(f"{path}.scale.{name}"))
        elif not text.startswith(tuple(f"{root}." for root in roots)):
            errs.append(field.invalid(f"{path}.scale.{name}", text,
                                      "should be a json path under " + " or ".join(roots)))


def _selectable(errs: Errors, path: str, found: list[dict[str, Any]]) -> None:
    if len(found) > 8:
        errs.append(field.too_many(path, len(found), 8))
    seen = set()
    for index, item in enumerate(found):
        text = item.get("jsonPath", "")
        _json_path(errs, f"{path}[{index}].jsonPath", text)
        if text in seen:
            errs.append(field.duplicate(f"{path}[{index}].jsonPath", text))
        seen.add(text)


_PARTS: dict[str, Callable[[Errors, str, Any], None]] = {
    "additionalPrinterColumns": _columns, "subresources": _subresources, "selectableFields": _selectable}


def _conversion(errs: Errors, conversion: Obj) -> None:
    strategy, webhook = conversion.get("strategy"), conversion.get("webhook")
    one_of(errs, "spec.conversion.strategy", strategy, ("None", "Webhook"))
    if strategy == "Webhook":
        config = (webhook or {}).get("clientConfig")
        if config is None:
            errs.append(field.required("spec.conversion.webhookClientConfig",
                                       "required when strategy is set to Webhook"))
        else:
            client_config(errs, "spec.conversion.webhookClientConfig", config)
        versions = (webhook or {}).get("conversionReviewVersions") or []
        if not versions:
            errs.append(field.required("spec.conversion.conversionReviewVersions"))
        elif not {"v1", "v1beta1"} & set(versions):
            errs.append(field.invalid("spec.conversion.conversionReviewVersions", versions,
                                      "must include at least one of v1, v1beta1"))
    elif webhook is not None:
        errs.append(field.forbidden("spec.conversion.webhookClientConfig",
                                    "should not be set when strategy is not set to Webhook"))


def update_customresourcedefinition(errs: Errors, new: Obj, old: Obj) -> None:
    """Once established, a definition keeps its scope, group and names."""
    conditions = (old.get("status") or {}).get("conditions") or ()
    established = any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions)
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    immutable(errs, "spec.group", spec.get("group"), before.get("group"))
    if established:
        immutable(errs, "spec.scope", spec.get("scope"), before.get("scope"))
        for name in ("plural", "kind"):
            immutable(errs, f"spec.names.{name}", (spec.get("names") or {}).get(name),
                      (before.get("names") or {}).get(name))
