"""Containers: name, image, ports, environment, mounts, and what each kind of container may have.

    containers            at least one; names unique
    initContainers        no probes and hooks, unless restartPolicy is Always (a sidecar)
    ephemeralContainers   no ports, probes, hooks or resources: they join a Pod that runs already

Source: k8s.io/kubernetes/pkg/apis/core/validation/validation.go (validateContainerCommon and around it).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from kitlib.api.validation import probes
from kitlib.api.validation.common import PROTOCOLS, Errors, Obj, each, no_backsteps, one_of, port_number
from kitlib.api.validation.pod_env import environment
from kitlib.api.validation.resources import container_resources
from kitlib.api.validation.security import container_security
from kitlib.objects import field, names

Volumes = Mapping[str, Obj]

_MESSAGES = ("FallbackToLogsOnError", "File")
_PULL = ("Always", "IfNotPresent", "Never")
_NOT_EPHEMERAL = ("lifecycle", "livenessProbe", "ports", "readinessProbe", "resizePolicy", "startupProbe")


def containers(errs: Errors, path: str, spec: Obj, volumes: Volumes) -> None:
    at = f"{path}.containers"
    found = spec.get("containers")
    if not found:
        errs.append(field.required(at))
        return
    grace = spec.get("terminationGracePeriodSeconds")
    seen: set[str] = set()
    for index, container in enumerate(found):
        place = f"{at}[{index}]"
        _common(errs, place, container, volumes, spec)
        _unique(errs, place, container, seen)
        probes.all_of(errs, place, container, grace)
    _host_ports(errs, at, found)


def init_containers(errs: Errors, path: str, spec: Obj, volumes: Volumes) -> None:
    seen = {container.get("name", "") for container in spec.get("containers") or ()}
    grace = spec.get("terminationGracePeriodSeconds")
    for index, container in enumerate(spec["initContainers"]):
        place = f"{path}.initContainers[{index}]"
        _common(errs, place, container, volumes, spec)
        _unique(errs, place, container, seen)
        policy = container.get("restartPolicy")
        if policy:
            one_of(errs, f"{place}.restartPolicy", policy, ("Always", "Never", "OnFailure"))
        if policy == "Always":
            probes.all_of(errs, place, container, grace)
            continue
        for name in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
            if container.get(name) is not None:
                errs.append(field.forbidden(f"{place}.{name}",
                                            "may not be set for init containers without restartPolicy=Always"))
    _host_ports(errs, f"{path}.initContainers", spec["initContainers"])


def ephemeral_containers(errs: Errors, path: str, spec: Obj, volumes: Volumes) -> None:
    regular = {container.get("name", "") for name in ("containers", "initContainers")
               for container in spec.get(name) or ()}
    seen = set(regular)
    for index, container in enumerate(spec["ephemeralContainers"]):
        place = f"{path}.ephemeralContainers[{index}]"
        _common(errs, place, container, volumes, spec)
        _unique(errs, place, container, seen)
        target = container.get("targetContainerName")
        if target and target not in regular:
            errs.append(field.not_found(f"{place}.targetContainerName", target))
        for name in _NOT_EPHEMERAL:
            if container.get(name):
                errs.append(field.forbidden(f"{place}.{name}", "cannot be set for an Ephemeral Container"))
        if container.get("resources"):
            errs.append(field.forbidden(f"{place}.resources", "cannot be set for an Ephemeral Container"))
        for number, mount in enumerate(container.get("volumeMounts") or ()):
            for name in ("subPath", "subPathExpr"):
                if mount.get(name):
                    errs.append(field.forbidden(f"{place}.volumeMounts[{number}].{name}",
                                                "cannot be set for an Ephemeral Container"))


def _unique(errs: Errors, place: str, container: Obj, seen: set[str]) -> None:
    name = container.get("name", "")
    if name and name in seen:
        errs.append(field.duplicate(f"{place}.name", name))
    seen.add(name)


def _common(errs: Errors, place: str, container: Obj, volumes: Volumes, spec: Obj) -> None:
    name, image = container.get("name"), container.get("image")
    if not name:
        errs.append(field.required(f"{place}.name"))
    else:
        each(errs, f"{place}.name", name, names.dns_label(name))
    if not image:
        errs.append(field.required(f"{place}.image"))
    if container.get("terminationMessagePolicy") not in _MESSAGES:
        one_of(errs, f"{place}.terminationMessagePolicy", container.get("terminationMessagePolicy"), _MESSAGES)
    if container.get("imagePullPolicy") not in _PULL:
        one_of(errs, f"{place}.imagePullPolicy", container.get("imagePullPolicy"), _PULL)
    if container.get("ports"):
        _ports(errs, f"{place}.ports", container["ports"], bool(spec.get("hostNetwork")))
    if container.get("env") or container.get("envFrom"):
        environment(errs, place, container)
    if container.get("volumeMounts"):
        _mounts(errs, f"{place}.volumeMounts", container, volumes)
    if container.get("volumeDevices"):
        _devices(errs, f"{place}.volumeDevices", container, volumes)
    if container.get("resources"):
        container_resources(errs, f"{place}.resources", container["resources"],
                            [claim.get("name", "") for claim in spec.get("resourceClaims") or ()])
    if container.get("securityContext"):
        container_security(errs, f"{place}.securityContext", container["securityContext"],
                           spec.get("hostUsers") is not False)
    if container.get("resizePolicy"):
        _resize_policies(errs, f"{place}.resizePolicy", container["resizePolicy"], spec.get("restartPolicy"))


def _resize_policies(errs: Errors, path: str, found: list[dict[str, Any]], restart: str | None) -> None:
    seen = set()
    for index, policy in enumerate(found):
        resource, action = policy.get("resourceName"), policy.get("restartPolicy")
        if resource in seen:
            errs.append(field.duplicate(f"{path}[{index}]", resource))
        seen.add(resource)
        one_of(errs, path, resource, ("cpu", "memory"))
        one_of(errs, path, action, ("NotRequired", "RestartContainer"))
        if restart == "Never" and action != "NotRequired":
            errs.append(field.invalid(path, action, "must be 'NotRequired' when `restartPolicy` is 'Never'"))


def _ports(errs: Errors, path: str, ports: list[dict[str, Any]], host_network: bool) -> None:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        at = f"{path}[{index}]"
        name, number, protocol = port.get("name"), port.get("containerPort"), port.get("protocol")
        if name:
            problems = names.port_name(name)
            each(errs, f"{at}.name", name, problems)
            if not problems and name in seen:
                errs.append(field.duplicate(f"{at}.name", name))
            seen.add(name)
        if not number:
            errs.append(field.required(f"{at}.containerPort"))
        else:
            port_number(errs, f"{at}.containerPort", number)
        host = port.get("hostPort")
        if host:
            port_number(errs, f"{at}.hostPort", host)
            if host_network and host != number:
                errs.append(field.invalid(f"{at}.hostPort", host,
                                          "must match `containerPort` when `hostNetwork` is true"))
        if protocol not in PROTOCOLS:
            one_of(errs, f"{at}.protocol", protocol, PROTOCOLS)


def _host_ports(errs: Errors, path: str, found: list[dict[str, Any]]) -> None:
    taken: set[str] = set()
    for index, container in enumerate(found):
        for number, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            text = f"{port.get('protocol', 'TCP')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if text in taken:
                errs.append(field.duplicate(f"{path}[{index}].ports[{number}].hostPort", text))
            taken.add(text)


def _mounts(errs: Errors, path: str, container: Obj, volumes: Volumes) -> None:
    paths: set[str] = set()
    devices = container.get("volumeDevices") or ()
    for index, mount in enumerate(container["volumeMounts"]):
        at = f"{path}[{index}]"
        name, place = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            errs.append(field.required(f"{at}.name"))
        if name not in volumes:
            errs.append(field.not_found(f"{at}.name", name))
        if not place:
            errs.append(field.required(f"{at}.mountPath"))
        if place in paths:
            errs.append(field.invalid(f"{at}.mountPath", place, "must be unique"))
        paths.add(place)
        _not_taken(errs, at, name, place, "mountPath", devices)
        sub, expression = mount.get("subPath"), mount.get("subPathExpr")
        if sub:
            _descending(errs, f"{path}.subPath", sub)
        if expression:
            if sub:
                errs.append(field.invalid(f"{at}.subPathExpr", expression,
                                          "subPathExpr and subPath are mutually exclusive"))
            _descending(errs, f"{path}.subPathExpr", expression)
        propagation = mount.get("mountPropagation")
        if propagation:
            one_of(errs, f"{path}.mountPropagation", propagation, ("Bidirectional", "HostToContainer", "None"))
            if propagation == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
                errs.append(field.forbidden(f"{path}.mountPropagation",
                                            "Bidirectional mount propagation is available only to privileged "
                                            "containers"))


def _devices(errs: Errors, path: str, container: Obj, volumes: Volumes) -> None:
    seen_names: set[str] = set()
    seen_paths: set[str] = set()
    for index, device in enumerate(container["volumeDevices"]):
        at = f"{path}[{index}]"
        name, place = device.get("name", ""), device.get("devicePath", "")
        if not name:
            errs.append(field.required(f"{at}.name"))
        if name in seen_names:
            errs.append(field.invalid(f"{at}.name", name, "must be unique"))
        source = volumes.get(name)
        if source is None:
            errs.append(field.not_found(f"{at}.name", name))
        elif "persistentVolumeClaim" not in source and "ephemeral" not in source:
            errs.append(field.invalid(f"{at}.name", name, "can only use volume source type of PersistentVolumeClaim "
                                      "or Ephemeral for block mode"))
        if not place:
            errs.append(field.required(f"{at}.devicePath"))
        elif place in seen_paths:
            errs.append(field.invalid(f"{at}.devicePath", place, "must be unique"))
        else:
            no_backsteps(errs, f"{at}.devicePath", place)
        seen_names.add(name)
        seen_paths.add(place)


def _not_taken(errs: Errors, at: str, name: str, place: str, key: str, devices: Collection[Obj]) -> None:
    for device in devices:
        if device.get("name") == name:
            errs.append(field.invalid(f"{at}.name", name, "must not already exist in volumeDevices"))
        if device.get("devicePath") == place:
            errs.append(field.invalid(f"{at}.{key}", place, "must not already exist as a path in volumeDevices"))


def _descending(errs: Errors, path: str, value: str) -> None:
    if value.startswith("/"):
        errs.append(field.invalid(path, value, "must be a relative path"))
    no_backsteps(errs, path, value)
