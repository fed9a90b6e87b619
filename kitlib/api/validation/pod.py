"""Pods: what a new one must be, and the little that may change in one that exists.

A Pod's spec is a contract with a kubelet that has acted on it already, so nearly all of it is fixed:

    update                image, activeDeadlineSeconds (shorter), tolerations (more), scheduling gates (fewer)
    ephemeralcontainers   more ephemeral containers
    resize                resources of containers, within the same QoS class

Source: k8s.io/kubernetes/pkg/apis/core/validation/validation.go (ValidatePodSpec, ValidatePodUpdate...).
"""

from __future__ import annotations

import re
from typing import Any

from kitlib.api.validation import containers as ctr
from kitlib.api.validation import placement
from kitlib.api.validation.common import Errors, Obj, each, in_range, ip, labels, one_of
from kitlib.api.validation.pod_volumes import volumes
from kitlib.api.validation.resources import container_resources, qos_class
from kitlib.api.validation.security import pod_security
from kitlib.objects import field, names

OWN_UPDATE = ("pod",)
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

_MAX_INT32 = 2**31 - 1
_INT32 = re.compile(r"0|-?[1-9]\d{0,9}", re.ASCII)
_RESTART = ("Always", "Never", "OnFailure")
_DNS = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_MUTABLE = ("`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
            "`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow "
            "it to be set to 1 if it was previously negative)")


def create_pod(errs: Errors, pod: Obj) -> None:
    spec = pod.get("spec") or {}
    pod_annotations(errs, "metadata.annotations", pod["metadata"].get("annotations") or {})
    _spec_of_pod(errs, spec)
    if spec.get("ephemeralContainers"):
        errs.append(field.forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        errs.append(field.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))


def pod_annotations(errs: Errors, path: str, found: Obj) -> None:
    """Annotations that mean something to Kubernetes itself."""
    cost = found.get(DELETION_COST)
    if cost is not None and not (_INT32.fullmatch(cost) and -2**31 <= int(cost) < 2**31):
        errs.append(field.invalid(f"{path}[{DELETION_COST}]", cost, "must be a 32bit integer"))


def _spec_of_pod(errs: Errors, spec: Obj) -> None:
    """The spec of a Pod proper, which is held to a little more than that of a template."""
    pod_spec(errs, "spec", spec)
    for part in ("containers", "initContainers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(part) or ()):
            image = container.get("image", "")
            if image != image.strip():
                errs.append(field.invalid(f"spec.{part}[{index}].image", image,
                                          "must not have leading or trailing whitespace"))
    if spec.get("serviceAccountName"):
        return
    for index, volume in enumerate(spec.get("volumes") or ()):
        for number, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
            if source.get("serviceAccountToken") is not None:
                errs.append(field.forbidden(f"spec.volumes[{index}].projected.sources[{number}].serviceAccountToken",
                                            "must not be specified when serviceAccountName is not set"))


def pod_spec(errs: Errors, path: str, spec: Obj) -> None:
    """A spec on its own: of a Pod or in a template."""
    found = volumes(errs, f"{path}.volumes", spec.get("volumes"))
    ctr.containers(errs, path, spec, found)
    if spec.get("initContainers"):
        ctr.init_containers(errs, path, spec, found)
    if spec.get("ephemeralContainers"):
        ctr.ephemeral_containers(errs, path, spec, found)
    one_of(errs, f"{path}.restartPolicy", spec.get("restartPolicy"), _RESTART)
    one_of(errs, f"{path}.dnsPolicy", spec.get("dnsPolicy"), _DNS)
    _dns_config(errs, f"{path}.dnsConfig", spec.get("dnsConfig"), spec.get("dnsPolicy"))
    if spec.get("nodeSelector"):
        labels(errs, f"{path}.nodeSelector", spec["nodeSelector"])
    if spec.get("securityContext"):
        pod_security(errs, f"{path}.securityContext", spec["securityContext"], spec)
    if spec.get("affinity"):
        placement.affinity(errs, f"{path}.affinity", spec["affinity"])
    if spec.get("tolerations"):
        placement.tolerations(errs, f"{path}.tolerations", spec["tolerations"])
    if spec.get("topologySpreadConstraints"):
        placement.spread(errs, f"{path}.topologySpreadConstraints", spec["topologySpreadConstraints"])
    _names(errs, path, spec)
    in_range(errs, f"{path}.activeDeadlineSeconds", spec.get("activeDeadlineSeconds"), 1, _MAX_INT32)
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        ip(errs, f"{path}.hostAliases[{index}].ip", alias.get("ip", ""))
        for number, host in enumerate(alias.get("hostnames") or ()):
            each(errs, f"{path}.hostAliases[{index}].hostnames[{number}]", host, names.dns_subdomain(host))
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        kind = gate.get("conditionType", "")
        each(errs, f"{path}.readinessGates[{index}].conditionType", kind, names.qualified_name(kind))
    _gates(errs, f"{path}.schedulingGates", spec.get("schedulingGates"))
    if spec.get("overhead"):
        container_resources(errs, f"{path}.overhead", {"limits": spec["overhead"]}, ())
    if spec.get("preemptionPolicy"):
        one_of(errs, f"{path}.preemptionPolicy", spec["preemptionPolicy"], ("Never", "PreemptLowerPriority"))
    if spec.get("os") is not None:
        if not spec["os"].get("name"):
            errs.append(field.required(f"{path}.os.name", "cannot be empty"))
        else:
            one_of(errs, f"{path}.os", spec["os"]["name"], ("linux", "windows"))
    if spec.get("resourceClaims"):
        _claims(errs, f"{path}.resourceClaims", spec["resourceClaims"])


def _claims(errs: Errors, path: str, claims: list[dict[str, Any]]) -> None:
    seen = set()
    for index, claim in enumerate(claims):
        at, name = f"{path}[{index}]", claim.get("name", "")
        if not name:
            errs.append(field.required(f"{at}.name"))
        elif name in seen:
            errs.append(field.duplicate(f"{at}.name", name))
        else:
            each(errs, f"{at}.name", name, names.dns_label(name))
        seen.add(name)
        given = [key for key in ("resourceClaimName", "resourceClaimTemplateName") if claim.get(key) is not None]
        if len(given) != 1:
            errs.append(field.invalid(at, claim, "must specify one of: `resourceClaimName`, "
                                      "`resourceClaimTemplateName`"))
        for key in given:
            each(errs, f"{at}.{key}", claim[key], names.dns_subdomain(claim[key]))


def _names(errs: Errors, path: str, spec: Obj) -> None:
    """Fields that name other things."""
    for name, rule in (("serviceAccountName", names.dns_subdomain), ("nodeName", names.dns_subdomain),
                       ("hostname", names.dns_label), ("subdomain", names.dns_label),
                       ("priorityClassName", names.dns_subdomain), ("runtimeClassName", names.dns_subdomain)):
        value = spec.get(name)
        if value:
            problems = rule(value)
            if problems:
                each(errs, f"{path}.{name}", value, problems)


def _gates(errs: Errors, path: str, gates: Any) -> None:
    seen = set()
    for index, gate in enumerate(gates or ()):
        name = gate.get("name", "")
        each(errs, f"{path}[{index}]", name, names.qualified_name(name))
        if name in seen:
            errs.append(field.duplicate(f"{path}[{index}]", name))
        seen.add(name)


def _dns_config(errs: Errors, path: str, config: Obj | None, policy: str | None) -> None:
    if policy == "None":
        if not config:
            errs.append(field.required(path, "must provide `dnsConfig` when `dnsPolicy` is None"))
        elif not config.get("nameservers"):
            errs.append(field.required(f"{path}.nameservers",
                                       "must provide at least one DNS nameserver when `dnsPolicy` is None"))
            return
    if not config:
        return
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    if len(servers) > 3:
        errs.append(field.invalid(f"{path}.nameservers", servers, "must not have more than 3 nameservers"))
    for index, server in enumerate(servers):
        ip(errs, f"{path}.nameservers[{index}]", server)
    if len(searches) > 32:
        errs.append(field.invalid(f"{path}.searches", searches, "must not have more than 32 search paths"))
    if len(" ".join(searches)) > 2048:
        errs.append(field.invalid(f"{path}.searches", searches,
                                  "must not have more than 2048 characters (including spaces) in the search list"))
    for index, search in enumerate(searches):
        if search not in ("", "."):
            each(errs, f"{path}.searches[{index}]", search, names.dns_subdomain(search.removesuffix(".").lower()))
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            errs.append(field.required(f"{path}.options[{index}]", "must not be empty"))


# -- changes ------------------------------------------------------------------------------------------

def update_pod(errs: Errors, new: Obj, old: Obj) -> None:
    """A plain update.  The spec itself is only checked again where it changed."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    pod_annotations(errs, "metadata.annotations", new["metadata"].get("annotations") or {})
    if spec is before or spec == before:
        return
    _spec_of_pod(errs, spec)
    for name in ("containers", "initContainers"):
        if len(spec.get(name) or ()) != len(before.get(name) or ()):
            errs.append(field.forbidden(f"spec.{name}", "pod updates may not add or remove containers"))
            return
    if not _deadline(errs, spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")):
        return
    _only_added_tolerations(errs, spec.get("tolerations") or [], before.get("tolerations") or [])
    gates = {gate.get("name") for gate in before.get("schedulingGates") or ()}
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        if gate.get("name") not in gates:
            errs.append(field.forbidden(f"spec.schedulingGates[{index}].name", "only deletion is allowed, but found "
                                        f"new scheduling gate '{gate.get('name')}'"))
    if qos_class(spec) != qos_class(before):
        errs.append(field.invalid("metadata", qos_class(spec), "Pod QoS is immutable"))
    if gates:
        _steered(errs, spec, before)
    if _fixed(spec, before, bool(gates)) != _fixed(before, before, bool(gates)):
        errs.append(field.forbidden("spec", f"pod updates may not change fields other than {_MUTABLE}\n"))


def _steered(errs: Errors, spec: Obj, before: Obj) -> None:
    """A Pod that waits behind a gate may be narrowed down to fewer nodes, never widened."""
    wanted, was = spec.get("nodeSelector") or {}, before.get("nodeSelector") or {}
    if any(wanted.get(key) != value for key, value in was.items()):
        errs.append(field.invalid("spec.nodeSelector", wanted,
                                  "only additions are allowed (no mutations or deletions)"))


def _deadline(errs: Errors, new: int | None, old: int | None) -> bool:
    """Whether the rest of the update is worth looking at."""
    if new is None:
        if old is not None:
            errs.append(field.invalid("spec.activeDeadlineSeconds", None, "must not update from a positive integer to "
                                      "nil value"))
    elif old is not None and new > old:
        errs.append(field.invalid("spec.activeDeadlineSeconds", new, "must be less than or equal to previous value"))
        return False
    return new is None or new >= 0


def _only_added_tolerations(errs: Errors, new: list[Any], old: list[Any]) -> None:
    def identity(toleration: Obj) -> tuple[Any, ...]:
        return tuple(toleration.get(key) for key in ("key", "operator", "value", "effect"))

    kept = {identity(toleration) for toleration in new}
    if any(identity(toleration) not in kept for toleration in old):
        errs.append(field.forbidden("spec.tolerations",
                                    "existing toleration can not be modified except its tolerationSeconds"))


def _fixed(spec: Obj, before: Obj, gated: bool) -> dict[str, Any]:
    """The spec without what an update may change."""
    free = {"activeDeadlineSeconds", "tolerations", "schedulingGates"}
    if gated:
        free.add("nodeSelector")
    fixed = {key: value for key, value in spec.items() if key not in free}
    if gated and fixed.get("affinity"):
        fixed["affinity"] = {key: value for key, value in fixed["affinity"].items() if key != "nodeAffinity"} or None
    for name in ("containers", "initContainers"):
        if spec.get(name):
            fixed[name] = [{**container, "image": None} for container in spec[name]]
    if (before.get("terminationGracePeriodSeconds") or 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        fixed["terminationGracePeriodSeconds"] = before["terminationGracePeriodSeconds"]
    return {key: value for key, value in fixed.items() if value is not None}


def status_pod(errs: Errors, new: Obj, old: Obj) -> None:
    spec = old.get("spec") or {}
    if (new.get("spec") or {}).get("nodeName") != spec.get("nodeName"):
        errs.append(field.forbidden("status.nodeName", "may not be changed directly"))
    status, before = new.get("status") or {}, old.get("status") or {}
    nominated = status.get("nominatedNodeName")
    if nominated and nominated != before.get("nominatedNodeName"):
        each(errs, "status.nominatedNodeName", nominated, names.dns_subdomain(nominated))
    for index, condition in enumerate(status.get("conditions") or ()):
        kind = condition.get("type", "")
        if not names.is_qualified_name(kind):
            each(errs, f"metadata.conditions[{index}].Type", kind, names.qualified_name(kind))
    policy = spec.get("restartPolicy", "Always")
    sidecars = {c.get("name") for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"}
    _container_states(errs, "containerStatuses", status, before, policy, set())
    _container_states(errs, "initContainerStatuses", status, before, policy, sidecars)
    _container_states(errs, "ephemeralContainerStatuses", status, before, "Never", set())
    for name in ("podIPs", "hostIPs"):
        for index, address in enumerate(status.get(name) or ()):
            ip(errs, f"status.{name}[{index}]", address.get("ip", ""))


def _container_states(errs: Errors, part: str, new: Obj, old: Obj, policy: str, restartable: set[Any]) -> None:
    """What has ended for good does not come back."""
    if policy == "Always":
        return
    now = {status.get("name"): status for status in new.get(part) or ()}
    for index, earlier in enumerate(old.get(part) or ()):
        ended = (earlier.get("state") or {}).get("terminated")
        if ended is None or earlier.get("name") in restartable:
            continue
        if ended.get("exitCode", 0) != 0 and policy == "OnFailure":
            continue
        status = now.get(earlier.get("name"))
        if status is not None and (status.get("state") or {}).get("terminated") is None:
            errs.append(field.forbidden(f"status.{part}[{index}].state",
                                        "may not be transitioned to non-terminated state"))


def update_ephemeral(errs: Errors, new: Obj, old: Obj) -> None:
    """The ephemeralcontainers subresource: add, never change or take away.  The API resets all other fields."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    _spec_of_pod(errs, spec)
    now = {container.get("name"): container for container in spec.get("ephemeralContainers") or ()}
    for container in before.get("ephemeralContainers") or ():
        found = now.get(container.get("name"))
        if found is None:
            errs.append(field.forbidden("spec.ephemeralContainers",
                                        f"existing ephemeral containers {container.get('name')} may not be removed"))
        elif found != container:
            errs.append(field.forbidden("spec.ephemeralContainers",
                                        f"existing ephemeral containers {container.get('name')} may not be changed"))


def update_resize(errs: Errors, new: Obj, old: Obj) -> None:
    """The resize subresource: resources of containers, and the QoS class stays."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    _spec_of_pod(errs, spec)
    for name in ("containers", "initContainers"):
        for index, (container, was) in enumerate(zip(spec.get(name) or (), before.get(name) or (), strict=False)):
            for kind in ("limits", "requests"):
                left = (container.get("resources") or {}).get(kind) or {}
                if any(key not in left for key in (was.get("resources") or {}).get(kind) or ()):
                    errs.append(field.forbidden(f"spec.{name}[{index}].resources.{kind}",
                                                f"resource {kind} cannot be removed"))
    if qos_class(spec) != qos_class(before):
        errs.append(field.invalid("spec", qos_class(spec), "Pod QOS Class may not change as a result of resizing"))
    if _without_resources(spec) != _without_resources(before):
        errs.append(field.forbidden("spec", "only cpu and memory resources are mutable"))


def _without_resources(spec: Obj) -> dict[str, Any]:
    fixed = {key: value for key, value in spec.items() if key != "resources"}
    for name in ("containers", "initContainers"):
        if spec.get(name):
            fixed[name] = [{key: value for key, value in container.items() if key not in ("resources", "resizePolicy")}
                           for container in spec[name]]
    return fixed


SUBRESOURCES = {"Pod": {"ephemeralcontainers": update_ephemeral, "resize": update_resize}}
