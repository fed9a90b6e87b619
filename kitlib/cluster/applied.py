"""The rules that a node's kernel really has, read from its network namespace: `kit rules --applied`.

Only nodes of the runtime `oci` on this very machine have some that kit may read, and only root may.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any

from kitlib.client import Client
from kitlib.cluster.errors import KitError
from kitlib.network.nftables import NAME

READ = {"nftables": ["nft", "list", "table", *NAME.split()], "iptables": ["iptables-save"]}


def read(client: Client, node: str) -> tuple[str, str]:
    """(mode, text as the mode's own tool prints it).  Raises KitError in one sentence."""
    status: dict[str, Any] = client.transport.request("GET", "/kit/status")
    mode, namespace = status.get("proxyMode", ""), (status.get("namespaces") or {}).get(node)
    if mode not in READ or not namespace:
        raise KitError(f"no rules are applied on {node}: this cluster's nodes have no kernel network of their own "
                       "(`kit up --runtime oci` makes some that have); without --applied the rules are computed.")
    if os.geteuid() != 0:
        raise KitError(f"the kernel shows the rules of {node} to root only; without --applied they are computed.")
    done = subprocess.run(["nsenter", f"--net={namespace}", *READ[mode]], capture_output=True, text=True, check=False)
    if done.returncode:
        raise KitError(f"the rules of {node} cannot be read: {done.stderr.strip()}")
    return mode, done.stdout
