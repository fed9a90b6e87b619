"""Networks: which there are, and which containers are in them.

    bridge    the default: addresses, no names          host, none    as they are called
    NAME      made by a user: containers find each other by name

A container that does not run is in its networks without an address.

Source: moby 20.10, daemon/network.go, daemon/container_operations.go; docs.docker.com/reference/api/engine (Network).
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kitlib.engine.containers.record import now, seconds
from kitlib.engine.errors import EngineError, bad_request, conflict, not_found
from kitlib.engine.filters import label_fits, moment, name_fits
from kitlib.engine.networks import pools
from kitlib.engine.networks.wiring import Wiring

if TYPE_CHECKING:
    from kitlib.engine.containers.record import Container
    from kitlib.engine.engine import Engine

Object = dict[str, Any]
PREDEFINED = ("bridge", "host", "none")
_PREFIX = "com.docker.network.bridge."
_CONFIGURED = "subnet was asked for"


class Networks:
    """The engine's part that keeps them.  `wiring` is set when it is known what this machine allows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.known: dict[str, Object] = {}
        self.wiring: Wiring

    async def start(self) -> None:
        self.known = self._engine.state.all("networks")

    async def stop(self) -> None:
        """What is wired goes with the runtime."""

    async def use(self, wiring: Wiring) -> None:
        """Now addresses can be given.  A network whose addresses cannot be had here any more gets others."""
        self.wiring = wiring
        for network in self.known.values():
            if network["IPAM"]["Config"] and not wiring.may_have(_subnet(network)):
                network["IPAM"]["Config"] = self._ranges([])
                self._save(network)
        for name in PREDEFINED:
            if not any(one["Name"] == name for one in self.known.values()):
                self._save(self._predefined(name))

    def _predefined(self, name: str) -> Object:
        driver = {"none": "null"}.get(name, name)
        made = _blank(name, driver)
        if name == "bridge":
            made["IPAM"]["Config"] = self._ranges([])
            made["Options"] = {
                f"{_PREFIX}default_bridge": "true", f"{_PREFIX}enable_icc": "true",
                f"{_PREFIX}enable_ip_masquerade": "true", f"{_PREFIX}host_binding_ipv4": "0.0.0.0",
                f"{_PREFIX}name": "docker0", "com.docker.network.driver.mtu": "1500"}
        return made

    def _save(self, network: Object) -> None:
        self._engine.state.put("networks", network["Id"], network)
        self.known[network["Id"]] = network

    def _taken(self) -> list[pools.Network]:
        return [_subnet(one) for one in self.known.values() if one["IPAM"]["Config"]]

    def _ranges(self, wanted: list[Object]) -> list[Object]:
        if len(wanted) > 1:
            raise bad_request("the embedded engine gives a network one IPv4 subnet, not several")
        given = wanted[0] if wanted else {}
        text = given.get("Subnet") or ""
        network = pools.checked(text, self._taken(), self.wiring.pools) if text else \
            pools.choose(self.wiring.pools, self._taken())
        for name in ("Gateway", "IPRange"):
            if given.get(name) and ipaddress.ip_interface(given[name]).ip not in network:
                raise bad_request(f"no matching subnet for {'gateway' if name == 'Gateway' else 'range'} "
                                  f"{given[name]}")
        made = {"Subnet": str(network)}
        if given.get("IPRange"):
            made["IPRange"] = given["IPRange"]
        return [{**made, "Gateway": given.get("Gateway") or str(next(network.hosts()))}]

    # Looking.

    def find(self, name: str) -> Object:
        """By name, id, or the beginning of an id.  Raises EngineError(404)."""
        if name in self.known:
            return self.known[name]
        by_name = [one for one in self.known.values() if one["Name"] == name]
        begins = by_name or [one for one in self.known.values() if name and one["Id"].startswith(name)]
        if len(begins) > 1:
            raise bad_request(f"network {name} is ambiguous ({len(begins)} matches found based on ID prefix)")
        if not begins:
            raise not_found(f"network {name} not found")
        return begins[0]

    def _members(self, network: Object) -> Iterable[tuple[Container, Object]]:
        for container in self._engine_containers():
            endpoint = container.networks.get(network["Name"])
            if endpoint is not None and endpoint.get("EndpointID"):  # it runs, or is just about to
                yield container, endpoint

    def _engine_containers(self) -> Iterable[Container]:
        return self._engine.containers.all()

    def shown(self, network: Object, *, members: bool = True) -> Object:
        there = {container.id: {"Name": container.name, "EndpointID": endpoint["EndpointID"],
                                "MacAddress": endpoint["MacAddress"],
                                "IPv4Address": _with_prefix(endpoint), "IPv6Address": ""}
                 for container, endpoint in self._members(network)} if members else {}
        return {**{key: value for key, value in network.items() if key != _CONFIGURED}, "Containers": there}

    def listed(self, filters: Mapping[str, list[str]]) -> list[Object]:
        found = []
        for network in self.known.values():
            used = any(network["Name"] in one.networks for one in self._engine_containers())
            kind = "builtin" if network["Name"] in PREDEFINED else "custom"
            dangling = filters.get("dangling")
            if not name_fits(filters.get("name"), network["Name"]) or not label_fits(filters, network["Labels"]):
                continue
            if any(key in filters and not any(network[field].startswith(value) if key == "id" else
                                              network[field] == value for value in filters[key])
                   for key, field in (("id", "Id"), ("driver", "Driver"), ("scope", "Scope"))):
                continue
            if "type" in filters and kind not in filters["type"]:
                continue
            if dangling and (kind == "builtin" or (dangling[0].lower() in ("1", "true")) == used):
                continue
            found.append(self.shown(network, members=False))
        return found

    # Making and removing.

    async def create(self, body: Object) -> tuple[str, str]:
        """(id, a warning)."""
        name, driver = body.get("Name") or "", body.get("Driver") or "bridge"
        if not name.strip():
            raise bad_request("invalid name: name is empty")
        if name in (*PREDEFINED, "default") or name.startswith("container:"):
            raise EngineError(403, f"operation is not permitted on predefined {name} network")
        if any(one["Name"] == name for one in self.known.values()):
            raise conflict(f"network with name {name} already exists")
        if driver in ("host", "null"):
            raise EngineError(403, f'only one instance of "{driver}" network is allowed')
        if driver != "bridge":
            raise not_found(f'plugin "{driver}" not found')
        network = _blank(name, driver)
        ipam = body.get("IPAM") or {}
        network["IPAM"] |= {"Driver": ipam.get("Driver") or "default", "Options": ipam.get("Options") or {},
                            "Config": self._ranges(ipam.get("Config") or [])}
        network |= {"Internal": bool(body.get("Internal")), "Attachable": bool(body.get("Attachable")),
                    "Options": body.get("Options") or {}, "Labels": body.get("Labels") or {}}
        network[_CONFIGURED] = any(one.get("Subnet") for one in ipam.get("Config") or ())
        self._save(network)
        self._engine.events.tell("network", "create", network["Id"], {"name": name, "type": driver})
        return network["Id"], "IPv6 is not enabled by the embedded engine" if body.get("EnableIPv6") else ""

    async def remove(self, name: str) -> None:
        network = self.find(name)
        if network["Name"] in PREDEFINED:
            raise EngineError(403, f"{network['Name']} is a pre-defined network and cannot be removed")
        if list(self._members(network)):
            raise EngineError(403, "error while removing network: network "
                              f"{network['Name']} id {network['Id']} has active endpoints")  # fmt: skip
        await self.wiring.remove(network)
        self.known.pop(network["Id"], None)
        self._engine.state.drop("networks", network["Id"])
        self._engine.events.tell("network", "destroy", network["Id"],
                                 {"name": network["Name"], "type": network["Driver"]})

    async def prune(self, filters: Mapping[str, list[str]]) -> list[str]:
        until = [moment(text) for text in filters.get("until", ())]
        gone = []
        for network in list(self.known.values()):
            if network["Name"] in PREDEFINED or any(network["Name"] in one.networks
                                                    for one in self._engine_containers() if one.running):
                continue
            if label_fits(filters, network["Labels"]) and all(seconds(network["Created"]) <= one for one in until):
                await self.remove(network["Id"])
                gone.append(network["Name"])
        return gone

    # Containers come and go.

    def wanted(self, container: Container, endpoints: Mapping[str, Object]) -> None:
        """What a new container shall be in.  endpoints: settings for the network of its mode."""
        mode = container.network_mode
        if mode.startswith("container:"):
            return
        settings = endpoints.get(mode) or endpoints.get(container.host["NetworkMode"]) or {}
        for other in endpoints:
            if other not in (mode, container.host["NetworkMode"]):
                mode = other
                settings = endpoints[other]
        container.networks[self._name_of(mode)] = _endpoint(settings)

    def _name_of(self, name: str) -> str:
        try:
            return str(self.find(name)["Name"])
        except EngineError:  # it may come before the start
            return name

    async def prepare(self, container: Container) -> None:
        """An address in each of its networks.  Raises EngineError."""
        for name in list(container.networks):
            network = self.find(name)
            await self.wiring.make(network)
            self._join(container, network)

    def _join(self, container: Container, network: Object) -> Object:
        endpoint = container.networks[network["Name"]]
        endpoint |= {"NetworkID": network["Id"], "EndpointID": os.urandom(32).hex()}
        if network["Driver"] != "bridge":
            return endpoint
        self._check_wish(container, network, endpoint)
        subnet, given = _subnet(network), network["IPAM"]["Config"][0]
        others = (one["IPAddress"] for other, one in self._members(network) if other is not container)
        taken = {given["Gateway"], *others}
        wish = (endpoint.get("IPAMConfig") or {}).get("IPv4Address") or ""
        if wish and wish in taken:
            raise EngineError(403, "Address already in use")
        within = ipaddress.IPv4Network(given["IPRange"], strict=False) if given.get("IPRange") else None
        address = wish or self.wiring.address(container, network) or pools.free(subnet, taken, within)
        endpoint |= {"Gateway": "" if network["Internal"] else given["Gateway"], "IPAddress": address,
                     "IPPrefixLen": subnet.prefixlen,
                     "MacAddress": container.config.get("MacAddress") or pools.mac(address)}
        if network["Name"] not in PREDEFINED:
            short = container.id[:12]
            endpoint["Aliases"] = [*(a for a in endpoint.get("Aliases") or () if a != short), short]
        return endpoint

    def _check_wish(self, container: Container, network: Object, endpoint: Object) -> None:
        wish = (endpoint.get("IPAMConfig") or {}).get("IPv4Address")
        if network["Name"] in PREDEFINED:
            if wish:
                raise bad_request("user specified IP address is supported on user defined networks only")
            if endpoint.get("Aliases"):
                raise bad_request("network-scoped alias is supported only for containers in user defined networks")
        elif wish and not network.get(_CONFIGURED):
            raise bad_request("user specified IP address is supported only when connecting to networks with user "
                              "configured subnets")
        elif wish:
            try:
                inside = ipaddress.IPv4Address(wish) in _subnet(network)
            except ValueError as error:
                raise bad_request(f"invalid IPv4 address: {wish}") from error
            if not inside:
                raise bad_request("Invalid address " + wish + ": It does not belong to any of this network's subnets")

    async def wire(self, container: Container) -> None:
        """After the sandbox is there: into each network.  Tells the events."""
        for name in container.networks:
            network = self.find(name)
            await self.wiring.attach(container, network, container.networks[name])
            self._tell("connect", container, network)

    async def release(self, container: Container) -> None:
        """The run is over: addresses are free again."""
        for endpoint in container.networks.values():
            if endpoint.get("EndpointID"):
                self._forget(endpoint)
                network = self.known.get(endpoint["NetworkID"])
                if network is not None:
                    self._tell("disconnect", container, network)
        await self.wiring.closed(container)

    @staticmethod
    def _forget(endpoint: Object) -> None:
        endpoint |= {"EndpointID": "", "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "MacAddress": ""}

    def _tell(self, what: str, container: Container, network: Object) -> None:
        self._engine.events.tell("network", what, network["Id"], {
            "container": container.id, "name": network["Name"], "type": network["Driver"]})

    async def connect(self, name: str, container: Container, settings: Object) -> None:
        network = self.find(name)
        if network["Name"] in container.networks and (container.running or
                                                      container.networks[network["Name"]].get("EndpointID")):
            raise EngineError(403, f"endpoint with name {container.name} already exists in network {network['Name']}")
        self._check_connect(network, container)
        container.networks[network["Name"]] = _endpoint(settings)
        if container.running:
            try:
                await self.wiring.make(network)
                endpoint = self._join(container, network)
                await self.wiring.attach(container, network, endpoint)
            except BaseException:
                container.networks.pop(network["Name"], None)
                raise
            self._tell("connect", container, network)
        else:
            container.networks[network["Name"]]["NetworkID"] = network["Id"]

    def _check_connect(self, network: Object, container: Container) -> None:
        mode = container.network_mode
        if mode == "host" or mode.startswith("container:"):
            raise bad_request("container sharing network namespace with another container or host cannot be connected "
                              "to any other network")
        if network["Name"] == "host":
            raise bad_request("container cannot be disconnected from host network or connected to host network")
        if network["Name"] == "none" or "none" in container.networks:
            raise bad_request("container cannot be connected to multiple networks with one of the networks in private "
                              "(none) mode")

    async def disconnect(self, name: str, container: Container) -> None:
        network = self.find(name)
        if network["Name"] == "host" or container.network_mode == "host":
            raise bad_request("container cannot be disconnected from host network or connected to host network")
        endpoint = container.networks.get(network["Name"])
        if endpoint is None:
            raise EngineError(403, f"container {container.id} is not connected to network {network['Name']}")
        if container.running and endpoint.get("EndpointID"):
            await self.wiring.detach(container, network, endpoint)
            self._tell("disconnect", container, network)
        container.networks.pop(network["Name"], None)


def _blank(name: str, driver: str) -> Object:
    return {"Name": name, "Id": os.urandom(32).hex(), "Created": now(), "Scope": "local", "Driver": driver,
            "EnableIPv6": False, "IPAM": {"Driver": "default", "Options": None, "Config": []}, "Internal": False,
            "Attachable": False, "Ingress": False, "ConfigFrom": {"Network": ""}, "ConfigOnly": False, "Containers": {},
            "Options": {}, "Labels": {}}  # fmt: skip


def _endpoint(settings: Object) -> Object:
    """EndpointSettings of a container that does not run."""
    ipam = settings.get("IPAMConfig") or None
    return {"IPAMConfig": ipam, "Links": settings.get("Links"), "Aliases": settings.get("Aliases"), "NetworkID": "",
            "EndpointID": "", "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "",
            "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "MacAddress": "",
            "DriverOpts": settings.get("DriverOpts")}  # fmt: skip


def _subnet(network: Object) -> pools.Network:
    return pools.Network(network["IPAM"]["Config"][0]["Subnet"])


def _with_prefix(endpoint: Object) -> str:
    return f"{endpoint['IPAddress']}/{endpoint['IPPrefixLen']}" if endpoint["IPAddress"] else ""
