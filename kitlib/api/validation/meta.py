"""The rules of ObjectMeta, the same for every kind but for the grammar of the name.

Source: k8s.io/apimachinery/pkg/api/validation (objectmeta.go), pkg/apis/core/validation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kitlib.api.validation.common import IMMUTABLE, Errors, Obj, each, immutable_fields, labels
from kitlib.objects import field, names

NameRule = Callable[[str], list[str]]

MAX_ANNOTATIONS = 256 * 1024
_STANDARD_FINALIZERS = frozenset(("kubernetes", "orphan", "foregroundDeletion"))
_UNCHANGEABLE = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")


def metadata(errs: Errors, meta: Obj, name_rule: NameRule, namespaced: bool, *, builtin: bool = True) -> None:
    """The metadata of a new object."""
    base = meta.get("generateName")
    if base:
        # A trailing dash is fine: letters and digits will follow.
        each(errs, "metadata.generateName", base, name_rule(base[:-1] + "a" if base.endswith("-") else base))
    name = meta.get("name")
    if not name:
        errs.append(field.required("metadata.name", "name or generateName is required"))
    else:
        problems = name_rule(name)
        if problems:
            each(errs, "metadata.name", name, problems)
    namespace = meta.get("namespace")
    if namespaced:
        if not namespace:
            errs.append(field.required("metadata.namespace"))
        else:
            each(errs, "metadata.namespace", namespace, names.dns_label(namespace))
    elif namespace:
        errs.append(field.forbidden("metadata.namespace", "not allowed on this type"))
    _parts(errs, meta, builtin)


def metadata_update(errs: Errors, new: Obj, old: Obj, *, builtin: bool = True) -> None:
    """The metadata of a changed object.  resourceVersion is the API's business (it may be left out)."""
    if old.get("deletionTimestamp"):
        added = [name for name in new.get("finalizers") or () if name not in (old.get("finalizers") or ())]
        if added:
            shown = ", ".join(f'"{name}"' for name in sorted(added))
            errs.append(field.forbidden("metadata.finalizers", "no new finalizers can be added if the object is being "
                                        f"deleted, found new finalizers []string{{{shown}}}"))
    if new.get("generation", 0) < old.get("generation", 0):
        errs.append(field.invalid("metadata.generation", new.get("generation", 0), "must not be decremented"))
    immutable_fields(errs, "metadata", new, old, *_UNCHANGEABLE)
    _parts(errs, new, builtin, old)


def _parts(errs: Errors, meta: Obj, builtin: bool, old: Obj | None = None) -> None:
    """What is checked on create and, where it changed, on update."""
    before: Mapping[str, Any] = old or {}
    if meta.get("generation", 0) < 0:
        errs.append(field.invalid("metadata.generation", meta["generation"], "must be greater than or equal to 0"))
    for key, check in (("labels", _labels), ("annotations", annotation_map), ("ownerReferences", _owners)):
        value = meta.get(key)
        if value and value is not before.get(key):
            check(errs, f"metadata.{key}", value)
    finalizers = meta.get("finalizers")
    if finalizers and finalizers != before.get("finalizers"):
        _finalizers(errs, finalizers, builtin)
    managed = meta.get("managedFields")
    if managed and managed is not before.get("managedFields"):
        _managed_fields(errs, managed)


def _labels(errs: Errors, path: str, value: Mapping[str, str]) -> None:
    labels(errs, path, value)


def annotation_map(errs: Errors, path: str, value: Mapping[str, str]) -> None:
    total = 0
    for key, text in value.items():
        lower = key.lower()
        if not names.is_qualified_name(lower):
            each(errs, path, key, names.qualified_name(lower))
        total += len(key) + (len(text) if text.isascii() else len(text.encode()))
    if total > MAX_ANNOTATIONS:
        errs.append(field.too_long(path, MAX_ANNOTATIONS))


def _owners(errs: Errors, path: str, references: list[dict[str, Any]]) -> None:
    controller: Obj | None = None
    for reference in references:
        version = reference.get("apiVersion", "").rpartition("/")[2]
        if not version:
            errs.append(field.invalid(f"{path}.apiVersion", reference.get("apiVersion", ""),
                                      "version must not be empty"))
        for name in ("kind", "name", "uid"):
            if not reference.get(name):
                errs.append(field.invalid(f"{path}.{name}", reference.get(name, ""), "must not be empty"))
        if reference.get("kind") == "Event" and reference.get("apiVersion") == "v1":
            errs.append(field.invalid(path, reference, "/v1, Kind=Event is disallowed from being an owner"))
        if reference.get("controller"):
            if controller is not None:
                errs.append(field.invalid(path, references, "Only one reference can have Controller set to true. Found "
                                          f'"true" in references for {controller.get("name")} and '
                                          f'{reference.get("name")}'))
            controller = reference


def _finalizers(errs: Errors, finalizers: list[str], builtin: bool) -> None:
    for index, name in enumerate(finalizers):
        if not names.is_qualified_name(name):
            each(errs, "metadata.finalizers", name, names.qualified_name(name))
        if builtin:
            finalizer_name(errs, f"metadata.finalizers[{index}]", name)
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        errs.append(field.invalid("metadata.finalizers", finalizers,
                                  "finalizer orphan and foregroundDeletion cannot be both set"))


def finalizer_name(errs: Errors, path: str, name: str) -> None:
    if "/" not in name and name not in _STANDARD_FINALIZERS:
        errs.append(field.invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified"))


def _managed_fields(errs: Errors, entries: list[dict[str, Any]]) -> None:
    for index, entry in enumerate(entries):
        at = f"metadata.managedFields[{index}]"
        if entry and entry.get("operation") not in ("Apply", "Update"):
            errs.append(field.invalid(f"{at}.operation", entry.get("operation", ""), "must be `Apply` or `Update`"))
        if entry.get("fieldsType") not in (None, "", "FieldsV1"):
            errs.append(field.invalid(f"{at}.fieldsType", entry["fieldsType"], "must be `FieldsV1`"))
        if len(entry.get("manager", "")) > 128:
            errs.append(field.too_long(f"{at}.manager", 128))


__all__ = ["IMMUTABLE", "NameRule", "annotation_map", "finalizer_name", "metadata", "metadata_update"]
