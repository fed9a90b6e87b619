"""A cluster's network as one who only has its API sees it: from a URL's host to a connection.

    host          a name ──▶ an Ingress's host? ──▶ its controller's address (from the Ingress's status)
                        └──▶ the cluster's DNS, with the search path of a namespace
    address ──▶ whose is it?  a Service's, a Pod's, a node's, or nobody's in this cluster
            ──▶ a connection, by the first way there is:
                  dial it          an embedded cluster has its addresses on this machine
                  dial it there    one with real containers has a network of its own; root may enter a node's
                  port-forward     to a Pod behind it, through the API: any other cluster
"""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from kitlib.client import Client
from kitlib.client.streams import forward
from kitlib.objects.errors import StatusError
from kitlib.traffic import netns, reach, resolve
from kitlib.traffic.failure import Failure, Unreachable
from kitlib.traffic.ingress import Ingresses

Object = dict[str, Any]
SERVICE_NAME = "kubernetes.io/service-name"
SLICES = "endpointslices.discovery.k8s.io"


@dataclass(frozen=True)
class Owner:
    """Whose address it is.  kind: Service, Pod or Node."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Route:
    """How to get to a host and port.  notes: what is worth telling, in curl's manner; owner None: not the cluster's.

    connect: opens a connection, within so many seconds; raises Unreachable.  netns: in which network (netns.py).
    """

    host: str
    address: str
    port: int
    owner: Owner | None
    notes: tuple[str, ...]
    connect: Callable[[float], socket.socket]
    direct: bool = True
    addresses: tuple[str, ...] = ()
    netns: str = ""


class Network:
    """One cluster's network, for callers in one namespace.  Looks things up when they are needed."""

    def __init__(self, client: Client, namespace: str = "default", *, through_api: bool | None = None) -> None:
        self.client, self.namespace = client, namespace
        self._dns: str | None = None
        self._entry: tuple[str, str] | None = None
        self._through_api = through_api
        self.ingresses = Ingresses(client)

    # -- the cluster's DNS ----------------------------------------------------------------------------------------

    @property
    def dns(self) -> str:
        """The address of the DNS server, "" if there is none that is called as usual."""
        if self._dns is None:
            found = self._get("services", "kube-system", "kube-dns") or {}
            self._dns = (found.get("spec") or {}).get("clusterIP") or ""
        return self._dns

    @property
    def through_api(self) -> bool:
        """Whether the only way is a port-forward."""
        if self._through_api is None:
            self._through_api = not self._is_here() and not self.entry[1]
        return self._through_api

    def _is_here(self) -> bool:
        address = self.dns or self._kubernetes()
        return bool(address) and reach.is_local(address)

    @property
    def entry(self) -> tuple[str, str]:
        """(node, its network namespace) to dial from, where that is needed and allowed; else two empty texts."""
        if self._entry is None:
            self._entry = "", ""
            if not self._is_here() and not self._through_api:
                try:
                    status = self.client.transport.request("GET", "/kit/status")
                except StatusError:
                    status = {}
                found = status.get("namespaces") if isinstance(status, dict) else None
                self._entry = next(((node, path) for node, path in sorted((found or {}).items())
                                    if netns.may_enter(path)), self._entry)
        return self._entry

    def _kubernetes(self) -> str:
        """A cluster without DNS still has the Service of its own API."""
        found = self._get("services", "default", "kubernetes") or {}
        return (found.get("spec") or {}).get("clusterIP") or ""

    def conf(self, namespace: str = "") -> resolve.ResolvConf:
        return resolve.ResolvConf.of_pod(self.dns, namespace or self.namespace, netns=self.entry[1])

    def look_up(self, name: str, kind: str = "A", *, namespace: str = "", tcp: bool = False) -> resolve.Lookup:
        """Ask the cluster's DNS as a Pod of the namespace would.  Raises Unreachable, ValueError."""
        if not self.through_api:
            return resolve.look_up(self.conf(namespace), name, kind, tcp=tcp)
        forwarded = self._forwarded("kube-dns", Owner("Service", "kube-system", "kube-dns"), self.dns, resolve.PORT, ())
        return resolve.look_up(self.conf(namespace), name, kind, connect=forwarded.connect)

    # -- from a host to a connection --------------------------------------------------------------------------------

    def route(self, host: str, port: int) -> Route:
        """Raises Unreachable when the host has no address."""
        host = host.rstrip(".")
        literal = _address(host)
        if literal is None and "." in host:
            entry = self.ingresses.find(host)
            if entry is not None:
                return self._route_to(host, entry.target, port, (f"{host} is a host of {entry}: asking its controller "
                                                                  f"at {entry.target}",))
        if literal is not None:
            return self._route_to(host, literal, port, ())
        if self.through_api:
            return self._route_by_name(host, port)
        addresses = self.look_up(host).addresses
        if not addresses:
            raise Unreachable(Failure("dns", f"Could not resolve host: {host}"))
        return self._route_to(host, random.choice(addresses), port, (), tuple(addresses))

    def _route_to(self, host: str, target: str, port: int, notes: tuple[str, ...],
                  addresses: tuple[str, ...] = ()) -> Route:
        """target: an address, or the name of a controller's load balancer."""
        if _address(target) is None:
            return self.route(target, port)
        owner = self.owner(target)
        if not self.through_api or owner is None or owner.kind == "Node":
            node, path = self.entry
            if node:
                notes += (f"This cluster has a network of its own: the connection begins on {node}",)

            def dialled(seconds: float) -> socket.socket:
                return reach.dial(target, port, seconds=seconds, name=host, netns=path)

            return Route(host, target, port, owner, notes, dialled, addresses=addresses or (target,), netns=path)
        return self._forwarded(host, owner, target, port, notes)

    def _route_by_name(self, host: str, port: int) -> Route:
        """Without its DNS: the Services the name may mean, in the order of the search path."""
        for candidate in self.conf().candidates(host):
            labels = candidate.removesuffix(f".svc.{resolve.DOMAIN}").split(".")
            if candidate.endswith(f".svc.{resolve.DOMAIN}") and len(labels) == 2:
                found = self._get("services", labels[1], labels[0])
                if found is not None:
                    address = found["spec"].get("clusterIP", "")
                    return self._forwarded(host, Owner("Service", labels[1], labels[0]), address, port, ())
        raise Unreachable(Failure("dns", f"Could not resolve host: {host} (this cluster's network is not this "
                                         f"machine's: only Services and Pods of the cluster can be asked)"))

    def _forwarded(self, host: str, owner: Owner, address: str, port: int, notes: tuple[str, ...]) -> Route:
        def connect(seconds: float) -> socket.socket:
            namespace, pod, number = self._behind(owner, host, port)
            try:
                pipe = forward(self.client.transport, namespace, pod, number)  # type: ignore[arg-type]
            except StatusError as error:
                raise Unreachable(Failure("unreachable", f"Failed to connect to {host} port {port}: "
                                                         f"{error.message}")) from error
            pipe.sock.settimeout(seconds)
            return pipe.sock

        to = str(owner) if owner.kind == "Pod" else f"a Pod of {owner}"
        note = f"{self._server()}'s network is not this machine's: port-forward to {to} through its API"
        return Route(host, address, port, owner, (*notes, note), connect, direct=False, addresses=(address,))

    def _server(self) -> str:
        access = getattr(self.client.transport, "access", None)
        return access.server if access else "the cluster"

    def _behind(self, owner: Owner, host: str, port: int) -> tuple[str, str, int]:
        """(namespace, Pod, port) of one ready endpoint, chosen as kube-proxy would: at random."""
        if owner.kind == "Pod":
            return owner.namespace, owner.name, port
        service = self._get("services", owner.namespace, owner.name) or {"spec": {}}
        names = {p.get("name", "") for p in service["spec"].get("ports") or () if p["port"] == port}
        if not names:
            known = ", ".join(str(p["port"]) for p in service["spec"].get("ports") or ())
            raise Unreachable(Failure("refused", f"Failed to connect to {host} port {port}: {owner} has no such port "
                                                 f"(it has {known or 'none'})"))
        found = [(endpoint["targetRef"]["name"], p["port"])
                 for slice_ in self._slices(owner)
                 for p in slice_.get("ports") or () if (p.get("name") or "") in names
                 for endpoint in slice_.get("endpoints") or ()
                 if (endpoint.get("conditions") or {}).get("ready") is not False and endpoint.get("targetRef")]
        if not found:
            raise Unreachable(Failure("refused", f"Failed to connect to {host} port {port}: {owner} has no ready "
                                                 f"endpoint"))
        return owner.namespace, *random.choice(found)

    def _slices(self, owner: Owner) -> list[Object]:
        return self.client.list(SLICES, owner.namespace, label_selector=f"{SERVICE_NAME}={owner.name}")["items"]

    # -- whose address ------------------------------------------------------------------------------------------------

    def owner(self, address: str) -> Owner | None:
        """The Service, Pod or node that has this address; None if nobody in this cluster has."""
        for kind, resource, addresses in (("Service", "services", _of_service), ("Pod", "pods", _of_pod),
                                          ("Node", "nodes", _of_node)):
            for obj in self._all(resource):
                if address in addresses(obj):
                    meta = obj["metadata"]
                    return Owner(kind, meta.get("namespace", ""), meta["name"])
        return None

    def _all(self, resource: str) -> list[Object]:
        """Of all namespaces, or of ours where we may see no other."""
        for namespace in (None, self.namespace):
            try:
                return self.client.list(resource, namespace)["items"]
            except StatusError as error:
                if error.code != 403:
                    raise
        return []

    def _get(self, resource: str, namespace: str, name: str) -> Object | None:
        try:
            return self.client.get(resource, namespace, name)
        except StatusError as error:
            if error.code in (403, 404):
                return None
            raise


def _address(text: str) -> str | None:
    """The text if it is an IPv4 address."""
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        return None


def _of_service(obj: Object) -> Iterable[str]:
    spec = obj["spec"]
    balancer = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [*(spec.get("clusterIPs") or ()), *(spec.get("externalIPs") or ()),
            *(entry["ip"] for entry in balancer if entry.get("ip"))]


def _of_pod(obj: Object) -> Iterable[str]:
    status = obj.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return []  # the address may be another Pod's by now
    return [entry["ip"] for entry in status.get("podIPs") or ()] or [status.get("podIP", "")]


def _of_node(obj: Object) -> Iterable[str]:
    return [entry["address"] for entry in (obj.get("status") or {}).get("addresses") or ()]
