"""Ingresses and IngressClasses: hosts, paths, and where they lead.

Source: k8s.io/kubernetes/pkg/apis/networking/validation (ValidateIngressSpec, ValidateIngressClass).
"""

from __future__ import annotations

from kitlib.api.validation.common import Errors, Obj, each, immutable, ip, ip_address, named, one_of, port_number
from kitlib.objects import field, names

_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_IN_PATH = ("//", "/./", "/../", "%2f", "%2F")
_OLD_CLASS = "kubernetes.io/ingress.class"
_AT_END = ("/..", "/.")


def create_ingress(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    rules, default = spec.get("rules") or (), spec.get("defaultBackend")
    if not rules and default is None:
        errs.append(field.invalid("spec", rules or [], "either `defaultBackend` or `rules` must be specified"))
    if default is not None:
        _backend(errs, "spec.defaultBackend", default)
    for index, rule in enumerate(rules):
        _rule(errs, f"spec.rules[{index}]", rule)
    for index, entry in enumerate(spec.get("tls") or ()):
        for number, host in enumerate(entry.get("hosts") or ()):
            rule_for_host = names.wildcard_subdomain if "*" in host else names.dns_subdomain
            each(errs, f"spec.tls[{index}].hosts[{number}]", host, rule_for_host(host))
        if entry.get("secretName"):
            each(errs, f"spec.tls[{index}].secretName", entry["secretName"], names.dns_subdomain(entry["secretName"]))
    if spec.get("ingressClassName") is not None:
        each(errs, "spec.ingressClassName", spec["ingressClassName"], names.dns_subdomain(spec["ingressClassName"]))
        note = (obj["metadata"].get("annotations") or {}).get(_OLD_CLASS)
        if note is not None and note != spec["ingressClassName"]:
            errs.append(field.invalid(f"annotations.{_OLD_CLASS}", note,
                                      "must match `ingressClassName` when both are specified"))


def _rule(errs: Errors, path: str, rule: Obj) -> None:
    host = rule.get("host")
    if host:
        if ip_address(host) is not None:
            errs.append(field.invalid(f"{path}.host", host, "must be a DNS name, not an IP address"))
        else:
            each(errs, f"{path}.host", host,
                 names.wildcard_subdomain(host) if "*" in host else names.dns_subdomain(host))
    http = rule.get("http")
    if http is None:
        return
    paths = http.get("paths") or []
    if not paths:
        errs.append(field.required(f"{path}.http.paths"))
    for index, entry in enumerate(paths):
        _path(errs, f"{path}.http.paths[{index}]", entry)


def _path(errs: Errors, path: str, entry: Obj) -> None:
    kind, text = entry.get("pathType"), entry.get("path", "")
    if kind is None:
        errs.append(field.required(f"{path}.pathType", "pathType must be specified"))
        return
    if kind in ("Exact", "Prefix"):
        if not text.startswith("/"):
            errs.append(field.invalid(f"{path}.path", text, "must be an absolute path"))
        for part in _IN_PATH:
            if part in text:
                errs.append(field.invalid(f"{path}.path", text, f"must not contain '{part}'"))
        for end in _AT_END:
            if text.endswith(end):
                errs.append(field.invalid(f"{path}.path", text, f"cannot end with '{end}'"))
    elif kind == "ImplementationSpecific":
        if text and not text.startswith("/"):
            errs.append(field.invalid(f"{path}.path", text, "must be an absolute path"))
    else:
        errs.append(field.not_supported(f"{path}.pathType", kind, _TYPES))
    _backend(errs, f"{path}.backend", entry.get("backend") or {})


def _backend(errs: Errors, path: str, backend: Obj) -> None:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        errs.append(field.invalid(path, "", "cannot set both resource and service backends"))
    elif resource is not None:
        for name in ("kind", "name"):
            if not resource.get(name):
                errs.append(field.required(f"{path}.resource.{name}"))
    elif service is None:
        errs.append(field.required(path, "resource or service backend is required"))
    else:
        named(errs, f"{path}.service.name", service.get("name"), names.dns_label)
        port = service.get("port") or {}
        if port.get("name") and port.get("number"):
            errs.append(field.invalid(path, "", "cannot set both port name & port number"))
        elif port.get("name"):
            each(errs, f"{path}.service.port.name", port["name"], names.port_name(port["name"]))
        elif port.get("number"):
            port_number(errs, f"{path}.service.port.number", port["number"])
        else:
            errs.append(field.required(path, "port name or number is required"))


def status_ingress(errs: Errors, new: Obj, old: Obj) -> None:
    ingress = ((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    for index, point in enumerate(ingress):
        at = f"status.loadBalancer.ingress[{index}]"
        if point.get("ip"):
            ip(errs, f"{at}.ip", point["ip"])
        if point.get("hostname"):
            each(errs, f"{at}.hostname", point["hostname"], names.dns_subdomain(point["hostname"]))


def create_ingressclass(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    controller = spec.get("controller", "")
    if len(controller) > 250:
        errs.append(field.too_long("spec.controller", 250))
    named(errs, "spec.controller", controller, names.domain_prefixed_path)
    parameters = spec.get("parameters")
    if parameters is None:
        return
    for name in ("kind", "name"):
        named(errs, f"spec.parameters.{name}", parameters.get(name), names.path_segment)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    one_of(errs, "spec.parameters.scope", scope, ("Cluster", "Namespace"))
    if scope == "Namespace":
        if not namespace:
            errs.append(field.required("spec.parameters.namespace",
                                       "`parameters.scope` is set to 'Namespace'"))
    elif namespace:
        errs.append(field.forbidden("spec.parameters.namespace", "`parameters.scope` is set to 'Cluster'"))


def update_ingressclass(errs: Errors, new: Obj, old: Obj) -> None:
    immutable(errs, "spec.controller", (new.get("spec") or {}).get("controller"),
              (old.get("spec") or {}).get("controller"))
