"""docker inspect: a container with all that is known of it.

Source: moby 20.10, daemon/inspect.go, daemon/inspect_linux.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitlib.engine.containers import files
from kitlib.engine.containers.record import Container

if TYPE_CHECKING:
    from kitlib.engine.engine import Engine

Object = dict[str, Any]
_ENDPOINT = ("EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPAddress", "IPPrefixLen",
             "IPv6Gateway", "MacAddress")  # fmt: skip


def inspect(engine: Engine, container: Container, *, sized: bool) -> Object:
    argv = container.argv
    place = container.place
    document: Object = {
        "Id": container.id, "Created": container.created, "Path": argv[0] if argv else "", "Args": argv[1:],
        "State": container.state, "Image": container.image, "ResolvConfPath": str(place / "resolv.conf"),
        "HostnamePath": str(place / "hostname"), "HostsPath": str(place / "hosts"),
        "LogPath": str(container.log_path) if container.state["StartedAt"][:4] != "0001" else "",
        "Name": f"/{container.name}", "RestartCount": container.restarts, "Driver": "overlay2", "Platform": "linux",
        "MountLabel": "", "ProcessLabel": "", "AppArmorProfile": "", "ExecIDs": list(container.execs) or None,
        "HostConfig": container.host, "GraphDriver": _driver(container),
        "Mounts": [shown_mount(point) for point in container.mounts], "Config": container.config,
        "NetworkSettings": _networks(container)}  # fmt: skip
    if sized:
        document |= {"SizeRw": files.size_rw(container), "SizeRootFs": files.size_root(container)}
    return document


def shown_mount(point: Object) -> Object:
    return {key: point[key] for key in ("Type", "Name", "Source", "Destination", "Driver", "Mode", "RW", "Propagation")
            if key in point}


def _driver(container: Container) -> Object:
    rw = container.rw
    data = {"MergedDir": str(rw / "root"), "UpperDir": str(rw / "upper"), "WorkDir": str(rw / "work")}
    return {"Data": {"LowerDir": ":".join(reversed(container.layers)), **data}, "Name": "overlay2"}


def _key(container: Container) -> str:
    if not container.sandbox:
        return ""
    return f"/var/run/docker/netns/{'default' if container.network_mode == 'host' else container.sandbox[:12]}"


def _networks(container: Container) -> Object:
    default = container.networks.get("bridge") or {}
    empty = {key: 0 if key.endswith("Len") else "" for key in _ENDPOINT}
    sandbox = container.sandbox
    return {"Bridge": "", "SandboxID": sandbox, "HairpinMode": False, "LinkLocalIPv6Address": "",
            "LinkLocalIPv6PrefixLen": 0, "Ports": container.ports,
            "SandboxKey": _key(container), "SecondaryIPAddresses": None,
            "SecondaryIPv6Addresses": None, **{key: default.get(key, empty[key]) for key in _ENDPOINT},
            "Networks": container.networks}  # fmt: skip
