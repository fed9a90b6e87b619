"""Which rules a kind has, and the two questions the API asks.

A line of the table says: the grammar of names, whether the kind lives in a namespace, and the module
with its `create_KIND(errs, obj)` and `update_KIND(errs, new, old)` functions.  Updates run the create
rules, too, unless the kind has a rule of its own for that (`whole_update` is False).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from kitlib.api.validation.common import Errors, Obj
from kitlib.api.validation.meta import metadata, metadata_update
from kitlib.objects import names
from kitlib.objects.field import Cause

Create = Callable[[Errors, Obj], None]
Update = Callable[[Errors, Obj, Obj], None]


class Rules(NamedTuple):
    name_rule: Callable[[str], list[str]]
    namespaced: bool
    create: Create | None
    update: Update | None
    whole_update: bool  # an update must also be valid as a new object
    status: Update | None
    subresources: dict[str, Update]


def _cron_job_name(name: str) -> list[str]:
    # 11 characters are for the "-<unix minutes>" that the controller appends to the name of each Job.
    return names.dns_subdomain(name) + (["must be no more than 52 characters"] if len(name) > 52 else [])


def _anything(name: str) -> list[str]:
    return []


_SUBDOMAIN, _LABEL, _SEGMENT = names.dns_subdomain, names.dns_label, names.path_segment

# (group, kind): (module, namespaced, name rule)
_TABLE: dict[tuple[str, str], tuple[str, bool, Callable[[str], list[str]]]] = {
    ("", "Pod"): ("pod", True, _SUBDOMAIN),
    ("", "PodTemplate"): ("workloads", True, _SUBDOMAIN),
    ("", "ReplicationController"): ("workloads", True, _SUBDOMAIN),
    ("", "Service"): ("service", True, _LABEL),
    ("", "Endpoints"): ("endpoints", True, _SUBDOMAIN),
    ("", "ConfigMap"): ("config", True, _SUBDOMAIN),
    ("", "Secret"): ("config", True, _SUBDOMAIN),
    ("", "ServiceAccount"): ("config", True, _SUBDOMAIN),
    ("", "Namespace"): ("core", False, _LABEL),
    ("", "Node"): ("node", False, _SUBDOMAIN),
    ("", "Event"): ("event", True, _SUBDOMAIN),
    ("events.k8s.io", "Event"): ("event", True, _SUBDOMAIN),
    ("", "LimitRange"): ("quota", True, _SUBDOMAIN),
    ("", "ResourceQuota"): ("quota", True, _SUBDOMAIN),
    ("", "PersistentVolume"): ("volumes", False, _SUBDOMAIN),
    ("", "PersistentVolumeClaim"): ("volumes", True, _SUBDOMAIN),
    ("apps", "Deployment"): ("workloads", True, _SUBDOMAIN),
    ("apps", "ReplicaSet"): ("workloads", True, _SUBDOMAIN),
    ("apps", "DaemonSet"): ("workloads", True, _SUBDOMAIN),
    ("apps", "StatefulSet"): ("statefulset", True, _LABEL),
    ("apps", "ControllerRevision"): ("statefulset", True, _SUBDOMAIN),
    ("batch", "Job"): ("batch", True, _SUBDOMAIN),
    ("batch", "CronJob"): ("cronjob", True, _cron_job_name),
    ("autoscaling", "HorizontalPodAutoscaler"): ("autoscaling", True, _SUBDOMAIN),
    ("autoscaling", "Scale"): ("autoscaling", True, _SUBDOMAIN),
    ("policy", "PodDisruptionBudget"): ("policy", True, _SUBDOMAIN),
    ("networking.k8s.io", "NetworkPolicy"): ("networking", True, _SUBDOMAIN),
    ("networking.k8s.io", "Ingress"): ("ingress", True, _SUBDOMAIN),
    ("networking.k8s.io", "IngressClass"): ("ingress", False, _SUBDOMAIN),
    ("networking.k8s.io", "IPAddress"): ("networking", False, _anything),
    ("networking.k8s.io", "ServiceCIDR"): ("networking", False, _SUBDOMAIN),
    ("discovery.k8s.io", "EndpointSlice"): ("endpoints", True, _SUBDOMAIN),
    ("rbac.authorization.k8s.io", "Role"): ("rbac", True, _SEGMENT),
    ("rbac.authorization.k8s.io", "ClusterRole"): ("rbac", False, _SEGMENT),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("rbac", True, _SEGMENT),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("rbac", False, _SEGMENT),
    ("storage.k8s.io", "StorageClass"): ("storage", False, _SUBDOMAIN),
    ("storage.k8s.io", "CSIDriver"): ("storage", False, _SUBDOMAIN),
    ("storage.k8s.io", "CSINode"): ("storage", False, _SUBDOMAIN),
    ("storage.k8s.io", "CSIStorageCapacity"): ("storage", True, _SUBDOMAIN),
    ("storage.k8s.io", "VolumeAttachment"): ("storage", False, _SUBDOMAIN),
    ("storage.k8s.io", "VolumeAttributesClass"): ("storage", False, _SUBDOMAIN),
    ("scheduling.k8s.io", "PriorityClass"): ("classes", False, _SUBDOMAIN),
    ("node.k8s.io", "RuntimeClass"): ("classes", False, _SUBDOMAIN),
    ("coordination.k8s.io", "Lease"): ("classes", True, _SUBDOMAIN),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): ("webhooks", False, _SUBDOMAIN),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): ("webhooks", False, _SUBDOMAIN),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): ("admission", False, _SUBDOMAIN),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): ("admission", False, _SUBDOMAIN),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"): ("admission", False, _SUBDOMAIN),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"): ("admission", False, _SUBDOMAIN),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): ("flowcontrol", False, _SUBDOMAIN),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): ("flowcontrol", False, _SUBDOMAIN),
    ("certificates.k8s.io", "CertificateSigningRequest"): ("certificates", False, _anything),
    ("apiregistration.k8s.io", "APIService"): ("core", False, _SEGMENT),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): ("crd", False, _SUBDOMAIN),
}


@cache
def rules_for(group: str, kind: str) -> Rules:
    """The rules of a kind; one that is not in the table has only those of its metadata."""
    line = _TABLE.get((group, kind))
    if line is None:
        return Rules(_SUBDOMAIN, False, None, None, False, None, {})
    module_name, namespaced, name_rule = line
    module: Any = importlib.import_module(f"kitlib.api.validation.{module_name}")
    stem = _stem(kind)
    return Rules(name_rule, namespaced, getattr(module, f"create_{stem}", None),
                 getattr(module, f"update_{stem}", None), stem not in getattr(module, "OWN_UPDATE", ()),
                 getattr(module, f"status_{stem}", None), getattr(module, "SUBRESOURCES", {}).get(kind, {}))


def _stem(kind: str) -> str:
    """HorizontalPodAutoscaler -> horizontalpodautoscaler."""
    return kind.lower()


def validate_create(kind: str, group: str, obj: Obj) -> list[Cause]:
    """Everything that is wrong with a new object; an empty list means it is valid."""
    rules = rules_for(group, kind)
    errs: list[Cause] = []
    meta = obj.get("metadata") or {}
    metadata(errs, meta, rules.name_rule, rules.namespaced if (group, kind) in _TABLE else bool(meta.get("namespace")))
    if rules.create is not None:
        rules.create(errs, obj)
    return errs


def validate_update(kind: str, group: str, new: Obj, old: Obj, subresource: str = "") -> list[Cause]:
    """Everything that is wrong with a change; `subresource` is status, ephemeralcontainers, resize, scale, ..."""
    rules = rules_for(group, kind)
    errs: list[Cause] = []
    metadata_update(errs, new.get("metadata") or {}, old.get("metadata") or {})
    if subresource == "status":
        if rules.status is not None:
            rules.status(errs, new, old)
    elif subresource in rules.subresources:
        rules.subresources[subresource](errs, new, old)
    else:
        if rules.create is not None and rules.whole_update:
            rules.create(errs, new)
        if rules.update is not None:
            rules.update(errs, new, old)
    return errs
