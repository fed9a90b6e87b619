"""The flags of this API server: what kube-apiserver is told on its command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kitlib.api.request import User

ISSUER = "https://kubernetes.default.svc.cluster.local"


@dataclass(slots=True)
class ApiConfig:
    """How one cluster's API server is set up.

    tokens: static bearer tokens (--token-auth-file).  signing_key: the PEM private key of
    ServiceAccount tokens (--service-account-signing-key-file); without one they are signed with a
    key of this process, and die with it.  root_ca: the PEM that Pods get as kube-root-ca.crt.
    address, port: where Pods find this server; the endpoint of the Service default/kubernetes.
    """

    service_cidr: str = "127.64.0.0/20"  # --service-cluster-ip-range
    node_ports: tuple[int, int] = (30000, 32767)  # --service-node-port-range
    tokens: Mapping[str, User] = field(default_factory=dict)
    signing_key: bytes = b""
    issuer: str = ISSUER  # --service-account-issuer; also the one audience this server accepts
    root_ca: str = ""
    address: str = "127.0.0.1"
    port: int = 6443
    git_version: str = "v1.36.2"
    max_token_seconds: int = 2**32
    audit: Callable[[dict[str, Any]], None] | None = None  # takes audit.k8s.io/v1 Events (--audit-log-path)
