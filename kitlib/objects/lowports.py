"""Low ports, where the kernel keeps ports under 1024 for root.

A Pod may listen on port 80 all the same: on such a machine every address of a cluster has its ports below
`unprivileged_port_start()` moved up by one fixed rule.  Whoever dials such an address (another Pod, the proxy, a
probe, a port-forward) applies the same rule, so nobody has to be told: PODIP:80 is PODIP:61080 for all of them.

The upper range lies above Linux's ephemeral ports (32768-60999), so no client socket is ever in the way.
"""

from __future__ import annotations

import os

FIRST_MAPPED = 61000
_START = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
_CAP_NET_BIND_SERVICE = 1 << 10


def unprivileged_port_start() -> int:
    """The first port this process may bind."""
    try:
        with open("/proc/self/status") as status:
            effective = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
        if effective & _CAP_NET_BIND_SERVICE:
            return 0
        with open(_START) as file:
            return min(int(file.read()), 1024)
    except (OSError, StopIteration):
        return 0 if os.geteuid() == 0 else 1024


def reachable(port: int, start: int) -> int:
    """Where a port of a cluster's address is really bound, if ports below `start` are refused."""
    return FIRST_MAPPED + port if 0 < port < start else port


def nominal(port: int, start: int) -> int:
    """The port a program asked for, from the one that is bound."""
    return port - FIRST_MAPPED if FIRST_MAPPED < port < FIRST_MAPPED + start else port
