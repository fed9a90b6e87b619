"""Names for containers without a mount namespace: they read the host's /etc/resolv.conf, and yet find `web`.

    resolv.conf of the Pod         what stands in for it here
    search a.svc.cluster.local …   LOCALDOMAIN, for libc (resolv.conf(5)) and c-ares
    options ndots:5                RES_OPTIONS
    nameserver 127.64.0.10         whatever is sent to port 53 of the host's name server goes there instead

Only the cluster's own DNS server is put in its place, none from outside.  A program with a resolver of its own that
knows neither variable (Go's, musl's) finds full names only.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from typing import Any

from kitlib.runtime.process import sockaddr


def environment(dns: Mapping[str, Any]) -> dict[str, str]:
    """dns: servers, searches and options of the Pod's resolv.conf."""
    searches, options = " ".join(dns.get("searches") or ()), " ".join(dns.get("options") or ())
    return {**({"LOCALDOMAIN": searches} if searches else {}), **({"RES_OPTIONS": options} if options else {})}


def redirection(dns: Mapping[str, Any]) -> tuple[str, tuple[bytes, ...]] | tuple[()]:
    """(the cluster's name server, those of the host that it stands in for); empty if the Pod does not ask the cluster.
    """
    ours = [server for server in dns.get("servers") or () if sockaddr.is_cluster(socket.inet_aton(server))]
    return (ours[0], host_servers()) if ours else ()


def host_servers(path: str = "/etc/resolv.conf") -> tuple[bytes, ...]:
    """The packed addresses a program would ask, by this file; without any, it asks 127.0.0.1."""
    found: list[bytes] = []
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if words[:1] == ["nameserver"] and len(words) > 1:
                address = words[1].partition("%")[0]
                with contextlib.suppress(OSError):
                    found.append(socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address))
    return tuple(found) or (b"\x7f\0\0\1",)
