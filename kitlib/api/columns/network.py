"""Services, what stands behind them, and what leads to them.

Source: pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.columns.printer import AGE, NAME, SELECTOR, Column, Obj, prints
from kitlib.api.columns.text import NONE, UNSET, age, cut, labels, load_balancer, name, part, selector


def _external(obj: Obj) -> str:
    spec = obj.get("spec") or {}
    addresses = list(spec.get("externalIPs") or ())
    if spec.get("type") == "ExternalName":
        return spec.get("externalName", "")
    if spec.get("type") == "LoadBalancer":
        balanced = load_balancer(obj.get("status"))
        return ",".join([*([balanced] if balanced else []), *addresses]) or "<pending>"
    return ",".join(addresses) or NONE


def _port(port: Obj) -> str:
    node = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port', 0)}{node}/{port.get('protocol', 'TCP')}"


@prints("", "Service", NAME, Column("Type", description="How it can be reached."),
        Column("Cluster-IP", description="Its address in the cluster."),
        Column("External-IP", description="Its addresses outside."), Column("Port(s)"), AGE, SELECTOR)
def service(obj: Obj, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    return [name(obj), spec.get("type", ""), spec.get("clusterIP") or NONE, _external(obj),
            ",".join(_port(port) for port in spec.get("ports") or ()) or NONE, age(obj, now),
            labels(spec.get("selector"))]


def _join(host: str, port: Any) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@prints("", "Endpoints", NAME, Column("Endpoints", description="Address and port of each ready Pod."), AGE)
def endpoints(obj: Obj, now: float) -> list[Any]:
    found = [_join(address.get("ip", ""), port.get("port", 0)) for subset in obj.get("subsets") or ()
             for port in subset.get("ports") or () for address in subset.get("addresses") or ()]
    for subset in obj.get("subsets") or ():
        if not subset.get("ports"):
            found += [address.get("ip", "") for address in subset.get("addresses") or ()]
    return [name(obj), cut(found, 3, NONE), age(obj, now)]


@prints("discovery.k8s.io", "EndpointSlice", NAME, Column("AddressType"), Column("Ports"), Column("Endpoints"), AGE)
def endpoint_slice(obj: Obj, now: float) -> list[Any]:
    ports = [str(port["port"]) if port.get("port") is not None else port.get("name") or "*"
             for port in obj.get("ports") or ()]
    addresses = [address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses") or ()]
    return [name(obj), obj.get("addressType", ""), cut(ports, 3, UNSET), cut(addresses, 3, UNSET), age(obj, now)]


@prints("networking.k8s.io", "Ingress", NAME, Column("Class", description="Who serves it."), Column("Hosts"),
        Column("Address", description="Where it is served."), Column("Ports"), AGE)
def ingress(obj: Obj, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    hosts = [rule["host"] for rule in spec.get("rules") or () if rule.get("host")]
    return [name(obj), spec.get("ingressClassName") or NONE, cut(hosts, 3, "*"), load_balancer(obj.get("status")),
            "80, 443" if spec.get("tls") else "80", age(obj, now)]


@prints("networking.k8s.io", "IngressClass", NAME, Column("Controller"), Column("Parameters"), AGE)
def ingress_class(obj: Obj, now: float) -> list[Any]:
    parameters = part(obj, "spec", "parameters")
    shown = NONE
    if parameters:
        group = parameters.get("apiGroup")
        shown = f"{parameters.get('kind', '')}{'.' + group if group else ''}/{parameters.get('name', '')}"
    return [name(obj), part(obj, "spec", "controller") or "", shown, age(obj, now)]


@prints("networking.k8s.io", "NetworkPolicy", NAME, Column("Pod-Selector", description="Which Pods it is about."), AGE)
def network_policy(obj: Obj, now: float) -> list[Any]:
    return [name(obj), selector(part(obj, "spec", "podSelector") or {}), age(obj, now)]


@prints("networking.k8s.io", "IPAddress", NAME, Column("ParentRef", description="Who uses the address."), AGE)
def ip_address(obj: Obj, now: float) -> list[Any]:
    parent = part(obj, "spec", "parentRef") or {}
    resource = ".".join(filter(None, (parent.get("resource", ""), parent.get("group", ""))))
    shown = "/".join(filter(None, (resource, parent.get("namespace", ""), parent.get("name", ""))))
    return [name(obj), shown or NONE, age(obj, now)]


@prints("networking.k8s.io", "ServiceCIDR", NAME, Column("CIDRs"), AGE)
def service_cidr(obj: Obj, now: float) -> list[Any]:
    return [name(obj), ",".join(part(obj, "spec", "cidrs") or ()) or NONE, age(obj, now)]
