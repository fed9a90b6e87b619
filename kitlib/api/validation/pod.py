"""Pods: what a new one must be, and the little that may change in one that exists.

A Pod's spec is a contract with a kubelet that has acted on it already, so nearly all of it is fixed:

    update                image, activeDeadlineSeconds (shorter), tolerations (more), scheduling gates (fewer)
    ephemeralcontainers   more ephemeral containers
    resize                resources of containers, within the same QoS class

Source: k8s.io/kubernetes/pkg/apis/core/validation/validation.go (ValidatePodSpec, ValidatePodUpdate...).
"""

from __future__ import annotations

from typing import Any

from kitlib.api.validation import containers as ctr
from kitlib.api.validation import placement
from kitlib.api.validation.common import Errors, Obj, each, in_range, ip, labels, one_of
from kitlib.api.validation.pod_volumes import volumes
from kitlib.api.validation.resources import qos_class, resource_list
from kitlib.api.validation.security import pod_security
from kitlib.objects import field, names

OWN_UPDATE = ("pod",)

_MAX_INT32 = 2**31 - 1
_RESTART = ("Always", "Never", "OnFailure")
_DNS = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_MUTABLE = ("`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
            "`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow "
            "it to be set to 1 if it was previously negative)")


def create_pod(errs: Errors, pod: Obj) -> None:
    spec = pod.get("spec") or {}
    pod_spec(errs, "spec", spec)
    if spec.get("ephemeralContainers"):
        errs.append(field.forbidden("spec.ephemeralContainers", "cannot be set on create"))


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
        resource_list(errs, f"{path}.overhead", spec["overhead"])
    if spec.get("preemptionPolicy"):
        one_of(errs, f"{path}.preemptionPolicy", spec["preemptionPolicy"], ("Never", "PreemptLowerPriority"))
    if spec.get("os"):
        one_of(errs, f"{path}.os.name", spec["os"].get("name"), ("linux", "windows"))
    claims = [claim.get("name", "") for claim in spec.get("resourceClaims") or ()]
    for index, name in enumerate(claims):
        if name in claims[:index]:
            errs.append(field.duplicate(f"{path}.resourceClaims[{index}]", name))
        each(errs, f"{path}.resourceClaims[{index}].name", name, names.dns_label(name))


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
    if spec is before or spec == before:
        return
    pod_spec(errs, "spec", spec)
    for name in ("containers", "initContainers"):
        if len(spec.get(name) or ()) != len(before.get(name) or ()):
            errs.append(field.forbidden(f"spec.{name}", "pod updates may not add or remove containers"))
            return
    _deadline(errs, spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds"))
    _only_added_tolerations(errs, spec.get("tolerations") or [], before.get("tolerations") or [])
    gates = {gate.get("name") for gate in before.get("schedulingGates") or ()}
    for gate in spec.get("schedulingGates") or ():
        if gate.get("name") not in gates:
            errs.append(field.forbidden("spec.schedulingGates", "only deletion is allowed, but found new scheduling "
                                        f"gate '{gate.get('name')}'"))
    if _fixed(spec, bool(gates)) != _fixed(before, bool(gates)) and not errs:
        errs.append(field.forbidden("spec", f"pod updates may not change fields other than {_MUTABLE}\n"))


def _deadline(errs: Errors, new: int | None, old: int | None) -> None:
    if old is None or new == old:
        return
    if new is None:
        errs.append(field.invalid("spec.activeDeadlineSeconds", None, "must not update from a positive integer to nil "
                                  "value"))
    elif new > old:
        errs.append(field.invalid("spec.activeDeadlineSeconds", new, "must be less than or equal to previous value"))


def _only_added_tolerations(errs: Errors, new: list[Any], old: list[Any]) -> None:
    def identity(toleration: Obj) -> tuple[Any, ...]:
        return tuple(toleration.get(key) for key in ("key", "operator", "value", "effect"))

    kept = {identity(toleration) for toleration in new}
    if any(identity(toleration) not in kept for toleration in old):
        errs.append(field.forbidden("spec.tolerations",
                                    "existing toleration can not be modified except its tolerationSeconds"))


def _fixed(spec: Obj, gated: bool) -> dict[str, Any]:
    """The spec without what an update may change."""
    free = {"activeDeadlineSeconds", "tolerations", "schedulingGates", "ephemeralContainers"}
    if gated:
        free |= {"nodeSelector", "affinity"}  # a Pod that is not yet scheduled can still be steered
    fixed = {key: value for key, value in spec.items() if key not in free}
    for name in ("containers", "initContainers"):
        if spec.get(name):
            fixed[name] = [{**container, "image": None} for container in spec[name]]
    if (spec.get("terminationGracePeriodSeconds") or 0) <= 1:
        fixed["terminationGracePeriodSeconds"] = 1
    return fixed


def status_pod(errs: Errors, new: Obj, old: Obj) -> None:
    if (new.get("spec") or {}).get("nodeName") != (old.get("spec") or {}).get("nodeName"):
        errs.append(field.forbidden("spec.nodeName", "may not be changed directly"))
    status, before = new.get("status") or {}, old.get("status") or {}
    nominated = status.get("nominatedNodeName")
    if nominated:
        each(errs, "status.nominatedNodeName", nominated, names.dns_subdomain(nominated))
    never = (new.get("spec") or {}).get("restartPolicy") == "Never"
    for group in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        _container_states(errs, f"status.{group}", status.get(group), before.get(group),
                          never and group == "containerStatuses")
    for index, address in enumerate(status.get("podIPs") or ()):
        ip(errs, f"podIPs[{index}].ip", address.get("ip", ""))


def _container_states(errs: Errors, path: str, new: Any, old: Any, final: bool) -> None:
    before = {status.get("name"): status for status in old or ()}
    for index, status in enumerate(new or ()):
        earlier = before.get(status.get("name"), {})
        ended = "terminated" in (earlier.get("state") or {})
        if final and ended and "terminated" not in (status.get("state") or {}):
            errs.append(field.forbidden(f"{path}[{index}].state",
                                        "may not be transitioned to non-terminated state"))


def update_ephemeral(errs: Errors, new: Obj, old: Obj) -> None:
    """The ephemeralcontainers subresource: add, never change or take away.  The API resets all other fields."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    pod_spec(errs, "spec", spec)
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
    pod_spec(errs, "spec", spec)
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
