"""The Pod's sandbox: what all its containers share: an address, a hostname, resolv.conf, /etc/hosts.

Pure: a Pod and the node's facts in, a `PodSandboxConfig` out.
Source: pkg/kubelet/kuberuntime/kuberuntime_sandbox.go, pkg/kubelet/network/dns, kubelet_pods.go (hosts file).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime.cri import PodSandboxConfig, PortMapping
from .containers import LABEL_NODE, LABEL_POD_NAME, LABEL_POD_NAMESPACE, LABEL_POD_UID


@dataclass(frozen=True, slots=True)
class Dns:
    """What the node tells Pods about name resolution."""

    servers: Sequence[str] = ()
    domain: str = "cluster.local"
    host_servers: Sequence[str] = ()
    host_searches: Sequence[str] = ()


def hostname(pod: Mapping[str, Any]) -> str:
    return (pod["spec"].get("hostname") or pod["metadata"]["name"])[:63].rstrip("-.")


def log_directory(root: Path, pod: Mapping[str, Any]) -> Path:
    """As /var/log/pods: NAMESPACE_NAME_UID."""
    meta = pod["metadata"]
    return root / f"{meta.get('namespace', '')}_{meta['name']}_{meta['uid']}"


def sandbox_config(pod: Mapping[str, Any], node: str, ip: str, logs: Path, dns: Dns, attempt: int) -> PodSandboxConfig:
    meta, spec = pod["metadata"], pod["spec"]
    servers, searches, options = resolver(pod, dns)
    ports = [PortMapping(p["containerPort"], p.get("protocol", "TCP"), p.get("hostPort", 0))
             for c in spec["containers"] for p in c.get("ports") or ()]
    return PodSandboxConfig(
        name=meta["name"], uid=meta["uid"], namespace=meta.get("namespace", ""), attempt=attempt,
        hostname=hostname(pod), ip=ip, log_directory=str(log_directory(logs, pod)),
        dns_servers=servers, dns_searches=searches, dns_options=options,
        host_aliases=[(a["ip"], tuple(a.get("hostnames") or ())) for a in spec.get("hostAliases") or ()],
        port_mappings=ports, labels=labels(pod, node), annotations=dict(meta.get("annotations") or {}),
        host_network=bool(spec.get("hostNetwork")), node=node)


def labels(pod: Mapping[str, Any], node: str) -> dict[str, str]:
    meta = pod["metadata"]
    return {**(meta.get("labels") or {}), LABEL_POD_NAME: meta["name"],
            LABEL_POD_NAMESPACE: meta.get("namespace", ""), LABEL_POD_UID: meta["uid"], LABEL_NODE: node}


def resolver(pod: Mapping[str, Any], dns: Dns) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """(nameservers, search domains, options) by dnsPolicy, then dnsConfig on top."""
    spec = pod["spec"]
    policy = spec.get("dnsPolicy", "ClusterFirst")
    cluster = policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not spec.get("hostNetwork"))
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    if cluster and dns.servers:
        namespace = pod["metadata"].get("namespace", "default")
        servers += dns.servers
        searches += [f"{namespace}.svc.{dns.domain}", f"svc.{dns.domain}", dns.domain, *dns.host_searches]
        options.append("ndots:5")
    elif policy != "None":
        servers += dns.host_servers
        searches += dns.host_searches
    config = spec.get("dnsConfig") or {}
    servers += [s for s in config.get("nameservers") or () if s not in servers]
    searches += [s for s in config.get("searches") or () if s not in searches]
    for option in config.get("options") or ():
        text = f"{option['name']}:{option['value']}" if option.get("value") else option["name"]
        options = [o for o in options if o.partition(":")[0] != option["name"]] + [text]
    return tuple(servers), tuple(searches), tuple(options)


def hosts_file(pod: Mapping[str, Any], ip: str, dns: Dns) -> str:
    """/etc/hosts of the Pod's containers."""
    name, subdomain = hostname(pod), pod["spec"].get("subdomain")
    names = name
    if subdomain:
        namespace = pod["metadata"].get("namespace", "default")
        names = f"{name}.{subdomain}.{namespace}.svc.{dns.domain}\t{name}"
    lines = ["# Kubernetes-managed hosts file.", "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback",
             f"{ip}\t{names}"]
    aliases = pod["spec"].get("hostAliases") or ()
    if aliases:
        lines += ["", "# Entries added by HostAliases."]
        lines += ["\t".join((alias["ip"], *(alias.get("hostnames") or ()))) for alias in aliases]
    return "\n".join(lines) + "\n"
