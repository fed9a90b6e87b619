"""Pod Security: what a namespace's labels allow its Pods to do.

    pod-security.kubernetes.io/enforce: privileged | baseline | restricted     refuses Pods
    pod-security.kubernetes.io/warn: …                                         warns, of templates too

*baseline* forbids the known ways out of a container, *restricted* demands today's best practice.  The
checks themselves are in `podstandards.py`.

Source: https://kubernetes.io/docs/concepts/security/pod-security-admission/, k8s.io/pod-security-admission.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.admission.podstandards import violations
from kitlib.api.call import Call
from kitlib.objects import field as problems

Obj = dict[str, Any]
PREFIX = "pod-security.kubernetes.io/"
LEVELS = ("privileged", "baseline", "restricted")
TEMPLATES = frozenset({"deployments.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps", "jobs.batch",
                       "cronjobs.batch", "replicationcontrollers", "podtemplates"})


def check(call: Call, obj: Obj, old: Obj | None) -> None:
    if call.kind.storage == "namespaces":
        _check_labels(call, obj)
        return
    found = call.api.store.get("namespaces", "", call.namespace)
    labels = (found.obj["metadata"].get("labels") or {}) if found else {}
    enforce, warn = labels.get(PREFIX + "enforce", ""), labels.get(PREFIX + "warn", "")
    if not enforce and not warn:
        return
    is_pod = call.kind.storage == "pods"
    meta, spec = _pod_of(call.kind.storage, obj)
    if old is not None and is_pod and _pod_of("pods", old)[1] == spec:
        return
    if is_pod and enforce in LEVELS:
        found_bad = violations(meta, spec, enforce)
        if found_bad:
            raise call.forbidden(f'violates PodSecurity "{enforce}:latest": {", ".join(found_bad)}',
                                 obj["metadata"].get("name", ""))
    if warn in LEVELS:
        found_bad = violations(meta, spec, warn)
        if found_bad:
            call.warnings.append(f'would violate PodSecurity "{warn}:latest": {", ".join(found_bad)}')


def _pod_of(storage: str, obj: Obj) -> tuple[Obj, Obj]:
    """(metadata, spec) of the Pod that this is, or would make."""
    if storage == "pods":
        return obj["metadata"], obj.get("spec") or {}
    if storage == "podtemplates":
        template = obj.get("template") or {}
    elif storage == "cronjobs.batch":
        template = ((obj["spec"].get("jobTemplate") or {}).get("spec") or {}).get("template") or {}
    else:
        template = (obj.get("spec") or {}).get("template") or {}
    return template.get("metadata") or {}, template.get("spec") or {}


def _check_labels(call: Call, obj: Obj) -> None:
    """A namespace's labels must name levels that exist."""
    labels, causes = obj["metadata"].get("labels") or {}, []
    for mode in ("enforce", "audit", "warn"):
        value = labels.get(PREFIX + mode)
        if value is not None and value not in LEVELS:
            causes.append(problems.invalid(f"metadata.labels[{PREFIX}{mode}]", value,
                                           f"must be one of {', '.join(LEVELS)}"))
    if causes:
        raise call.invalid(causes, obj["metadata"]["name"])
