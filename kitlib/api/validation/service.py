"""Services: ports, addresses and the options that go with each type.

    ClusterIP     an address, no node ports        NodePort      and a port on every node
    LoadBalancer  and an address outside           ExternalName  a name, no address at all

Which addresses and node ports are free is the allocators' business.

Source: k8s.io/kubernetes/pkg/apis/core/validation (ValidateService, ValidateServiceUpdate).
"""

from __future__ import annotations

from typing import Any

from kitlib.api.validation.common import (
    PROTOCOLS,
    Errors,
    Obj,
    cidr,
    each,
    ip,
    ip_address,
    label_name,
    labels,
    non_special_ip,
    one_of,
    port_number,
    port_or_name,
)
from kitlib.objects import field, names

HEADLESS = "None"
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_DAY = 86400
_KUBELET = 10250


def addresses(spec: Obj) -> list[str]:
    found = spec.get("clusterIPs")
    return list(found) if found else [spec["clusterIP"]] if spec.get("clusterIP") else []


def create_service(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    kind, ips, ports = spec.get("type"), addresses(spec), spec.get("ports") or []
    headless = ips[:1] == [HEADLESS]
    if not ports and not headless and kind != "ExternalName":
        errs.append(field.required("spec.ports"))
    if kind in ("LoadBalancer", "NodePort") and headless:
        errs.append(field.invalid("spec.clusterIPs[0]", HEADLESS, f"may not be set to 'None' for {kind} services"))
    for index, port in enumerate(ports):
        if kind == "LoadBalancer" and port.get("port") == _KUBELET:
            errs.append(field.invalid(f"spec.ports[{index}]", _KUBELET,
                                      f"may not expose port {_KUBELET} externally since it is used by kubelet"))
    if kind == "ExternalName":
        _external_name(errs, spec, ips)
    _ports(errs, ports, kind)
    if spec.get("selector"):
        labels(errs, "spec.selector", spec["selector"])
    _affinity(errs, spec)
    if kind != "ExternalName":
        _families(errs, spec, ips)
    for index, address in enumerate(spec.get("externalIPs") or ()):
        if ip_address(address) is None:
            ip(errs, f"spec.externalIPs[{index}]", address)
        else:
            non_special_ip(errs, f"spec.externalIPs[{index}]", address)
    one_of(errs, "spec.type", kind, _TYPES)
    _balancing(errs, spec, kind)


def _external_name(errs: Errors, spec: Obj, ips: list[str]) -> None:
    if ips:
        errs.append(field.forbidden("spec.clusterIPs", "may not be set for ExternalName services"))
    for name in ("ipFamilies", "ipFamilyPolicy"):
        if spec.get(name):
            errs.append(field.forbidden(f"spec.{name}", "may not be set for ExternalName services"))
    host = spec.get("externalName", "").removesuffix(".")
    if host:
        each(errs, "spec.externalName", host, names.dns_subdomain(host))
    else:
        errs.append(field.required("spec.externalName"))


def _ports(errs: Errors, ports: list[dict[str, Any]], kind: str | None) -> None:
    seen: set[str] = set()
    pairs: set[tuple[Any, Any]] = set()
    node_pairs: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        at = f"spec.ports[{index}]"
        name, number, protocol, node_port = (port.get(k) for k in ("name", "port", "protocol", "nodePort"))
        if name:
            each(errs, f"{at}.name", name, names.dns_label(name))
            if name in seen:
                errs.append(field.duplicate(f"{at}.name", name))
            seen.add(name)
        elif len(ports) > 1:
            errs.append(field.required(f"{at}.name"))
        port_number(errs, f"{at}.port", number)
        one_of(errs, f"{at}.protocol", protocol, PROTOCOLS)
        if port.get("targetPort") not in (None, ""):
            port_or_name(errs, f"{at}.targetPort", port["targetPort"])
        if port.get("appProtocol"):
            label_name(errs, f"{at}.appProtocol", port["appProtocol"])
        if (protocol, number) in pairs:
            errs.append(field.duplicate(at, {"protocol": protocol, "port": number}))
        pairs.add((protocol, number))
        if node_port:
            if kind == "ClusterIP":
                errs.append(field.forbidden(f"{at}.nodePort", "may not be used when `type` is 'ClusterIP'"))
            if (protocol, node_port) in node_pairs:
                errs.append(field.duplicate(f"{at}.nodePort", node_port))
            node_pairs.add((protocol, node_port))


def _affinity(errs: Errors, spec: Obj) -> None:
    affinity, config = spec.get("sessionAffinity"), spec.get("sessionAffinityConfig")
    one_of(errs, "spec.sessionAffinity", affinity, ("ClientIP", "None"))
    if affinity == "ClientIP":
        _client_ip(errs, "spec.sessionAffinityConfig", config)
    elif affinity == "None" and config:
        errs.append(field.forbidden("spec.sessionAffinityConfig",
                                    "must not be set when session affinity is None"))


def _client_ip(errs: Errors, path: str, config: Obj | None) -> None:
    why = "when session affinity type is ClientIP"
    if config is None:
        errs.append(field.required(path, why))
    elif config.get("clientIP") is None:
        errs.append(field.required(f"{path}.clientIP", why))
    else:
        seconds = config["clientIP"].get("timeoutSeconds")
        if seconds is None:
            errs.append(field.required(f"{path}.clientIP.timeoutSeconds", why))
        elif not 0 < seconds <= _DAY:
            errs.append(field.invalid(f"{path}.clientIP.timeoutSeconds", seconds,
                                      f"must be greater than 0 and less than {_DAY}"))


def _families(errs: Errors, spec: Obj, ips: list[str]) -> None:
    if spec.get("clusterIP") and ips and spec["clusterIP"] != ips[0]:
        errs.append(field.invalid("spec.clusterIPs", ips, "first value must match `clusterIP`"))
    if len(ips) > 2:
        errs.append(field.invalid("spec.clusterIPs", ips, "may only hold up to 2 values"))
    families, policy = spec.get("ipFamilies") or [], spec.get("ipFamilyPolicy")
    for index, name in enumerate(families):
        one_of(errs, f"spec.ipFamilies[{index}]", name, ("IPv4", "IPv6"))
        if name in families[:index]:
            errs.append(field.duplicate(f"spec.ipFamilies[{index}]", name))
    one_of(errs, "spec.ipFamilyPolicy", policy, ("PreferDualStack", "RequireDualStack", "SingleStack"), False)
    if policy == "SingleStack" and len(families) > 1:
        errs.append(field.invalid("spec.ipFamilies", families, "may only be 1 when ipFamilyPolicy is SingleStack"))
    _cluster_ips(errs, ips, families)


def _cluster_ips(errs: Errors, ips: list[str], families: list[str]) -> None:
    if HEADLESS in ips:
        if len(ips) > 1:
            errs.append(field.invalid("spec.clusterIPs", ips, "'None' must be the first and only value"))
        return
    parsed = [ip_address(address) for address in ips]
    for index, (address, found) in enumerate(zip(ips, parsed, strict=True)):
        if found is None:
            errs.append(field.invalid(f"spec.clusterIPs[{index}]", address,
                                      "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"))
    versions = [found.version for found in parsed if found is not None]
    if len(versions) < len(ips):
        return
    if len(set(versions)) < len(versions):
        errs.append(field.invalid("spec.clusterIPs", ips, "may specify no more than one IP for each IP family"))
    for index, (family, version) in enumerate(zip(families, versions, strict=False)):
        if family != f"IPv{version}":
            errs.append(field.invalid(f"spec.clusterIPs[{index}]", ips[index],
                                      f"expected an {family} value as indicated by `ipFamilies[{index}]`"))


def _balancing(errs: Errors, spec: Obj, kind: str | None) -> None:
    ranges = spec.get("loadBalancerSourceRanges") or ()
    if ranges and kind != "LoadBalancer":
        errs.append(field.forbidden("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'"))
    for index, network in enumerate(ranges):
        cidr(errs, f"spec.LoadBalancerSourceRanges[{index}]", network.strip())
    policy = spec.get("externalTrafficPolicy")
    accessible = kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs"))
    if accessible:
        one_of(errs, "spec.externalTrafficPolicy", policy, ("Cluster", "Local"), False)
    elif policy:
        errs.append(field.invalid("spec.externalTrafficPolicy", policy,
                                  "may only be set for externally-accessible services"))
    one_of(errs, "spec.internalTrafficPolicy", spec.get("internalTrafficPolicy"), ("Cluster", "Local"), False)
    one_of(errs, "spec.trafficDistribution", spec.get("trafficDistribution"),
           ("PreferClose", "PreferSameNode", "PreferSameZone"), False)
    health = spec.get("healthCheckNodePort")
    if health and not (kind == "LoadBalancer" and policy == "Local"):
        errs.append(field.invalid("spec.healthCheckNodePort", health, "may only be set when `type` is 'LoadBalancer' "
                                  "and `externalTrafficPolicy` is 'Local'"))
    for name in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
        if kind != "LoadBalancer" and spec.get(name) is not None:
            errs.append(field.forbidden(f"spec.{name}", "may only be used when `type` is 'LoadBalancer'"))
    if kind == "LoadBalancer" and spec.get("loadBalancerClass"):
        label_name(errs, "spec.loadBalancerClass", spec["loadBalancerClass"])


def update_service(errs: Errors, new: Obj, old: Obj) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    if "ExternalName" in (spec.get("type"), before.get("type")):
        return
    now, was = addresses(spec), addresses(before)
    policy = spec.get("ipFamilyPolicy")
    if not now[:1] == was[:1] == [HEADLESS]:
        _only_the_second(errs, "clusterIPs", "clusterIP", now, was, policy)
    if HEADLESS not in (*now[:1], *was[:1]):
        families, earlier = spec.get("ipFamilies") or [], before.get("ipFamilies") or []
        _only_the_second(errs, "ipFamilies", "ipFamily", families, earlier, policy)
    kind, class_name = before.get("loadBalancerClass"), spec.get("loadBalancerClass")
    if spec.get("type") == before.get("type") == "LoadBalancer" and kind != class_name:
        errs.append(field.invalid("spec.loadBalancerClass", class_name, "may not change once set"))


def _only_the_second(errs: Errors, name: str, one: str, now: list[str], was: list[str], policy: str | None) -> None:
    """The first value stays for good. A second one may come and, for a SingleStack service, go."""
    kept = "may not change once set"
    if len(now) == len(was):
        for index, (value, earlier) in enumerate(zip(now, was, strict=True)):
            if value != earlier:
                errs.append(field.invalid(f"spec.{name}[{index if name == 'clusterIPs' else 0}]", now, kept))
        return
    if not now:
        errs.append(field.invalid(f"spec.{name}[0]", now, f"primary {one} can not be unset"))
    elif was and now[0] != was[0]:
        errs.append(field.invalid(f"spec.{name}[0]", now, kept))
    if len(now) == 1 < len(was) and policy != "SingleStack":
        errs.append(field.invalid("spec.ipFamilyPolicy", policy,
                                  f"must be set to 'SingleStack' when releasing the secondary {one}"))


def status_service(errs: Errors, new: Obj, old: Obj) -> None:
    ingress = ((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    at = "status.loadBalancer.ingress"
    if ingress and (new.get("spec") or {}).get("type") != "LoadBalancer":
        errs.append(field.forbidden(at, "may only be used when `spec.type` is \"LoadBalancer\""))
        return
    for index, point in enumerate(ingress):
        if point.get("ip"):
            ip(errs, f"{at}[{index}].ip", point["ip"])
        mode = point.get("ipMode")
        if mode is not None and not point.get("ip"):
            errs.append(field.forbidden(f"{at}[{index}].ipMode", "may not be specified when `ip` is not set"))
        elif mode is not None:
            one_of(errs, f"{at}[{index}].ipMode", mode, ("Proxy", "VIP"))
        if point.get("hostname"):
            if ip_address(point["hostname"]) is not None:
                errs.append(field.invalid(f"{at}[{index}].hostname", point["hostname"],
                                          "must be a DNS name, not an IP address"))
            each(errs, f"{at}[{index}].hostname", point["hostname"], names.dns_subdomain(point["hostname"]))
