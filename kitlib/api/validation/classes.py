"""Small kinds: PriorityClass, RuntimeClass, Lease.

Source: k8s.io/kubernetes/pkg/apis/{scheduling,node,coordination}/validation.
"""

from __future__ import annotations

from kitlib.api.validation.common import Errors, Obj, each, immutable, named, not_negative, one_of
from kitlib.api.validation.placement import tolerations
from kitlib.api.validation.resources import container_resources
from kitlib.objects import field, names

HIGHEST_USER_PRIORITY = 1_000_000_000
SYSTEM_CLASSES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}


def create_priorityclass(errs: Errors, obj: Obj) -> None:
    name, value = obj["metadata"].get("name", ""), obj.get("value", 0)
    if name.startswith("system-"):
        if SYSTEM_CLASSES.get(name) != value or obj.get("globalDefault"):
            errs.append(field.forbidden("metadata.name", "priority class names with 'system-' prefix are reserved for "
                                        f"system use only. error: {name} is not a known system priority class"))
    elif value > HIGHEST_USER_PRIORITY:
        errs.append(field.forbidden("value", f"maximum allowed value of a user defined priority is "
                                    f"{HIGHEST_USER_PRIORITY}"))
    one_of(errs, "preemptionPolicy", obj.get("preemptionPolicy"), ("Never", "PreemptLowerPriority"), False)


def update_priorityclass(errs: Errors, new: Obj, old: Obj) -> None:
    if new.get("value", 0) != old.get("value", 0):
        errs.append(field.forbidden("value", "may not be changed in an update."))
    immutable(errs, "preemptionPolicy", new.get("preemptionPolicy"), old.get("preemptionPolicy"))


def create_runtimeclass(errs: Errors, obj: Obj) -> None:
    handler = obj.get("handler", "")
    each(errs, "handler", handler, names.dns_label(handler))
    overhead = (obj.get("overhead") or {}).get("podFixed")
    if overhead:
        container_resources(errs, "overhead.podFixed", {"limits": overhead}, ())
    scheduling = obj.get("scheduling")
    if scheduling and scheduling.get("tolerations"):
        tolerations(errs, "scheduling.tolerations", scheduling["tolerations"])


def update_runtimeclass(errs: Errors, new: Obj, old: Obj) -> None:
    immutable(errs, "handler", new.get("handler"), old.get("handler"))


def create_lease(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        errs.append(field.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    not_negative(errs, "spec.leaseTransitions", spec.get("leaseTransitions"))
    if spec.get("strategy") is not None:
        named(errs, "spec.strategy", spec["strategy"], names.qualified_name)
    if spec.get("preferredHolder") and not spec.get("strategy"):
        errs.append(field.forbidden("spec.preferredHolder",
                                    "may only be specified if `spec.strategy` is defined"))
