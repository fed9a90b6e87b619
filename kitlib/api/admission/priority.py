"""Priority: a class's name becomes a number that the scheduler can compare.

Source: k8s.io/kubernetes/plugin/pkg/admission/priority/admission.go.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.call import Call

CLASSES = "priorityclasses.scheduling.k8s.io"
PREEMPT = "PreemptLowerPriority"


def resolve(call: Call, obj: dict[str, Any], old: dict[str, Any] | None) -> None:
    spec, name = obj.setdefault("spec", {}), obj["metadata"].get("name", "")
    wanted = spec.get("priorityClassName", "")
    if not wanted:
        chosen = _global_default(call)
        wanted = chosen["metadata"]["name"] if chosen else ""
    else:
        found = call.api.store.get(CLASSES, "", wanted)
        if found is None:
            raise call.forbidden(f"no PriorityClass with name {wanted} was found", name)
        chosen = found.obj
    value = chosen.get("value", 0) if chosen else 0
    policy = chosen.get("preemptionPolicy", PREEMPT) if chosen else PREEMPT
    if wanted:
        spec["priorityClassName"] = wanted
    if spec.get("priority") is not None and spec["priority"] != value:
        raise call.forbidden(f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
                             f"priority admission controller computed {value} from the given PriorityClass name", name)
    if spec.get("preemptionPolicy") is not None and spec["preemptionPolicy"] != policy:
        raise call.forbidden(f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided "
                             f"in pod spec; priority admission controller computed {policy} from the given "
                             "PriorityClass name", name)
    spec["priority"], spec["preemptionPolicy"] = value, policy


def _global_default(call: Call) -> dict[str, Any] | None:
    """The class for Pods that name none; of several (made in a race) the lowest."""
    marked = [entry.obj for entry in call.api.store.list(CLASSES) if entry.obj.get("globalDefault")]
    return min(marked, key=lambda obj: obj.get("value", 0)) if marked else None


def check_class(call: Call, obj: dict[str, Any], old: dict[str, Any] | None) -> None:
    """There is one default class."""
    if not obj.get("globalDefault"):
        return
    default = _global_default(call)
    if default is not None and default["metadata"]["name"] != obj["metadata"]["name"]:
        raise call.forbidden(f"PriorityClass {default['metadata']['name']} is already marked as default. Only one "
                             "default can exist", obj["metadata"]["name"])


