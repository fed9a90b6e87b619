"""Namespaces and APIServices.

Source: k8s.io/kubernetes/pkg/apis/core/validation (ValidateNamespace...), k8s.io/kube-aggregator/pkg/apis.
"""

from __future__ import annotations

from kitlib.api.validation.common import Errors, Obj, in_range, port_number
from kitlib.api.validation.meta import finalizer_name
from kitlib.objects import field, names

OWN_UPDATE = ("namespace",)


def create_namespace(errs: Errors, obj: Obj) -> None:
    _finalizers(errs, obj, "spec.finalizers")


def _finalizers(errs: Errors, obj: Obj, path: str) -> None:
    for index, name in enumerate((obj.get("spec") or {}).get("finalizers") or ()):
        at = path.format(index)
        errs.extend(field.invalid(at, name, problem) for problem in names.qualified_name(name))
        finalizer_name(errs, at, name)


def finalize_namespace(errs: Errors, new: Obj, old: Obj) -> None:
    _finalizers(errs, new, "spec.finalizers[{}]")


def status_namespace(errs: Errors, new: Obj, old: Obj) -> None:
    phase = (new.get("status") or {}).get("phase")
    deleted = bool((new.get("metadata") or {}).get("deletionTimestamp"))
    if deleted and phase != "Terminating":
        errs.append(field.invalid("status.Phase", phase, "may only be 'Terminating' if `deletionTimestamp` is not "
                                  "empty"))
    elif not deleted and phase not in (None, "Active"):
        errs.append(field.invalid("status.Phase", phase, "may only be 'Active' if `deletionTimestamp` is empty"))


def create_apiservice(errs: Errors, obj: Obj) -> None:
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name", "")
    group, version = spec.get("group", ""), spec.get("version", "")
    wanted = f"{version}.{group}"
    if name and name != wanted:
        errs.append(field.invalid("metadata.name", name, f"must be `spec.version+\".\"+spec.group`: `{wanted}`"))
    if not group and version != "v1":
        errs.append(field.required("spec.group", "only v1 may have an empty group and it better be legacy kube"))
    if not version:
        errs.append(field.required("spec.version"))
    in_range(errs, "spec.groupPriorityMinimum", spec.get("groupPriorityMinimum", 0), 1, 20000)
    in_range(errs, "spec.versionPriority", spec.get("versionPriority", 0), 1, 1000)
    service = spec.get("service")
    if service is None:
        if spec.get("caBundle"):
            errs.append(field.invalid("spec.caBundle", "...", "local APIServices may not have a caBundle"))
        return
    for key in ("namespace", "name"):
        if not service.get(key):
            errs.append(field.required(f"spec.service.{key}"))
    port_number(errs, "spec.service.port", service.get("port", 443))


SUBRESOURCES = {"Namespace": {"finalize": finalize_namespace}}
