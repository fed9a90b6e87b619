"""Events: old clients write little, new ones (with eventTime) must say who reports what.

Source: k8s.io/kubernetes/pkg/apis/core/validation/events.go.
"""

from __future__ import annotations

from kitlib.api.validation.common import Errors, Obj, named, one_of
from kitlib.objects import field, names

OWN_UPDATE = ("event",)

_NOTE, _REASON, _REPORTER, _ACTION = 1024, 128, 128, 128


def create_event(errs: Errors, obj: Obj) -> None:
    modern = obj.get("apiVersion") == "events.k8s.io/v1"
    about = obj.get("regarding" if modern else "involvedObject") or {}
    namespace, of_object = obj["metadata"].get("namespace", ""), about.get("namespace", "")
    # Events about cluster-scoped objects lie in the namespace default (or kube-system).
    fits = namespace == of_object if of_object else namespace in ("default", "kube-system", "")
    if not fits:
        errs.append(field.invalid("involvedObject.namespace", of_object, "does not match event.namespace"))
    if modern and not obj.get("eventTime"):
        errs.append(field.required("eventTime"))
    if not obj.get("eventTime"):
        return
    controller = obj.get("reportingController") if modern else obj.get("reportingComponent")
    path = "reportingController" if modern else "reportingComponent"
    named(errs, path, controller, names.qualified_name)
    for name, limit in (("reportingInstance", _REPORTER), ("action", _ACTION), ("reason", _REASON)):
        value = obj.get(name, "")
        if not value:
            errs.append(field.required(name))
        elif len(value) > limit:
            errs.append(field.invalid(name, "", f"can have at most {limit} characters"))
    note = obj.get("note" if modern else "message", "")
    if len(note) > _NOTE:
        errs.append(field.invalid("message", "", f"can have at most {_NOTE} characters"))
    if modern:
        one_of(errs, "type", obj.get("type"), ("Normal", "Warning"))


def update_event(errs: Errors, new: Obj, old: Obj) -> None:
    create_event(errs, new)
    if new.get("apiVersion") != "events.k8s.io/v1":
        return
    for name in ("regarding", "reason", "action", "eventTime", "reportingController", "reportingInstance", "note",
                 "type", "related"):
        if new.get(name) != old.get(name):
            errs.append(field.invalid(name, new.get(name), "field is immutable"))
