"""kube-proxy's iptables mode as a pure function: Services and EndpointSlices in, the rules out.

A packet to a Service walks from chain to chain; each chain answers one question:

    PREROUTING, OUTPUT
      KUBE-SERVICES        which Service?    -d 10.96.50.1 --dport 80
        KUBE-SVC-…         which endpoint?   a coin per endpoint: 1/3, then 1/2, then the rest
          KUBE-SEP-…       DNAT --to-destination 10.244.0.201:8080
      KUBE-NODEPORTS       the same for node ports
        KUBE-EXT-…         from outside: masquerade (or stay on this node), then KUBE-SVC or KUBE-SVL (local ones only)
    POSTROUTING
      KUBE-POSTROUTING     what was marked 0x4000 leaves with the node's own address

The text is that of `iptables-save`, lines with KUBE only, so it can be laid beside a real node's.
Source: pkg/proxy/iptables/proxier.go (syncProxyRules).
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .service_ports import ProxyEndpoint, Reachable, ServicePort, reachable

MARK = "0x4000/0x4000"
BUILT_IN = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")


@dataclass(frozen=True, slots=True)
class RuleContext:
    """The node for which the rules are made.

    zone: its topology.kubernetes.io/zone.  node_addresses: the first is its InternalIP.  nfacct: whether rules count
    with nfacct; like the real one we leave the counters out where the kernel has none.
    """

    node: str
    cluster_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/16"
    node_addresses: Sequence[str] = ()
    zone: str = ""
    nfacct: bool = True

    def lets_node_in(self, sources: Iterable[str]) -> bool:
        """Whether this node is among a load balancer's allowed sources."""
        return any(ipaddress.ip_address(self.node_addresses[0]) in ipaddress.ip_network(source, strict=False)
                   for source in sources if self.node_addresses)


@dataclass(slots=True)
class Tables:
    """Rules by table and chain."""

    nat: dict[str, list[str]] = field(default_factory=dict)
    filter: dict[str, list[str]] = field(default_factory=dict)

    def text(self, table: str) -> str:
        """As iptables-save prints them: chains, then the rules of the built-in chains, then those of ours."""
        chains: dict[str, list[str]] = getattr(self, table)
        built_in = [name for name in BUILT_IN if name in chains]
        ours = sorted(set(chains) - set(built_in))
        lines = [f":{name} - [0:0]" for name in ours]
        lines += [f"-A {name} {rule}" for name in (*built_in, *ours) for rule in chains[name]]
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, saved: str) -> Tables:
        """What `iptables-save` printed, without what is not kube-proxy's (nor the kubelet's)."""
        found, chains = cls(), dict[str, list[str]]()
        for line in saved.splitlines():
            if line.startswith("*"):
                chains = getattr(found, line[1:], {})
            elif line.startswith(":KUBE-"):
                chains.setdefault(line[1:].partition(" ")[0], [])
            elif line.startswith("-A ") and "KUBE-" in line:
                chain, _, rule = line[3:].partition(" ")
                chains.setdefault(chain, []).append(rule)
        return found


def chain_name(prefix: str, port: ServicePort, endpoint: ProxyEndpoint | None = None) -> str:
    """KUBE-SVC-HYZAVZ3O2MWWAV4H: a name must fit into 28 characters, hence the hash."""
    text = port.name + port.protocol.lower() + (str(endpoint) if endpoint else "")
    return f"KUBE-{prefix}-{base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[:16]}"


def rules(ports: Iterable[ServicePort], context: RuleContext) -> Tables:
    """All rules of a node for these Services."""
    tables = Tables(_nat_base(), _filter_base(context))
    for port in ports:
        _service(port, context, tables)
    tables.nat["KUBE-SERVICES"].append(
        '-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" '
        "-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS")
    return tables


def _service(port: ServicePort, context: RuleContext, tables: Tables) -> None:
    found = reachable(port, context.node, context.zone)
    cluster_chain, local_chain = chain_name("SVC", port), chain_name("SVL", port)
    if found.internal:
        _internal(port, tables, local_chain if port.internal_local else cluster_chain)
    else:
        _refuse(port, tables, "KUBE-SERVICES", port.cluster_ips, found)
    if port.outside:
        _external(port, context, tables, found)
    if found.cluster:
        _balance(port, context, tables, cluster_chain, found.cluster)
    if found.local:
        _balance(port, context, tables, local_chain, found.local)
    for endpoint in found.all:
        _endpoint(port, tables, endpoint)


def _internal(port: ServicePort, tables: Tables, chain: str) -> None:
    for address in port.cluster_ips:
        tables.nat["KUBE-SERVICES"].append(
            f'-d {address}/32 {_proto(port, f"{port.name} cluster IP")} --dport {port.port} -j {chain}')


def _external(port: ServicePort, context: RuleContext, tables: Tables, found: Reachable) -> None:
    protocol = port.protocol.lower()
    if not found.external:
        why, verdict = _why(port, found)
        _refuse(port, tables, "KUBE-EXTERNAL-SERVICES", (*port.external_ips, *port.load_balancer_ips), found)
        if port.node_port:
            tables.filter["KUBE-EXTERNAL-SERVICES"].append(
                f'-p {protocol} -m comment --comment "{why}" -m addrtype --dst-type LOCAL '
                f"-m {protocol} --dport {port.node_port} {verdict}")
    if port.health_check_node_port:
        tables.filter["KUBE-NODEPORTS"].append(
            f'-p tcp -m comment --comment "{port.name} health check node port" -m tcp '
            f"--dport {port.health_check_node_port} -j ACCEPT")
    if not found.anywhere:
        return
    chain = chain_name("EXT", port)
    for address in port.external_ips:
        tables.nat["KUBE-SERVICES"].append(
            f'-d {address}/32 {_proto(port, f"{port.name} external IP")} --dport {port.port} -j {chain}')
    for address in port.load_balancer_ips:
        target = chain_name("FW", port) if port.source_ranges else chain
        tables.nat["KUBE-SERVICES"].append(
            f'-d {address}/32 {_proto(port, f"{port.name} loadbalancer IP")} --dport {port.port} -j {target}')
    if port.load_balancer_ips and port.source_ranges:
        _firewall(port, context, tables, chain)
    if port.node_port:
        head = f'-p {protocol} -m comment --comment "{port.name}" -m {protocol} --dport {port.node_port}'
        if context.nfacct:
            tables.nat["KUBE-NODEPORTS"].append(
                f"-d 127.0.0.0/8 {head} -m nfacct --nfacct-name  localhost_nps_accepted_pkts -j {chain}")
        tables.nat["KUBE-NODEPORTS"].append(f"{head} -j {chain}")
    _external_chain(port, context, tables, chain, bool(found.external))


def _external_chain(port: ServicePort, context: RuleContext, tables: Tables, chain: str, there: bool) -> None:
    cluster_chain, local_chain = chain_name("SVC", port), chain_name("SVL", port)
    destinations = f"{port.name} external destinations"
    if port.external_local:
        host = "-m addrtype --src-type LOCAL"
        lines = [f'-s {context.cluster_cidr} -m comment --comment "pod traffic for {destinations}" -j {cluster_chain}',
                 f'-m comment --comment "masquerade LOCAL traffic for {destinations}" {host} -j KUBE-MARK-MASQ',
                 f'-m comment --comment "route LOCAL traffic for {destinations}" {host} -j {cluster_chain}']
        lines += [f"-j {local_chain}"] if there else []
    else:
        lines = [f'-m comment --comment "masquerade traffic for {destinations}" -j KUBE-MARK-MASQ',
                 f"-j {cluster_chain}"]
    tables.nat[chain] = lines


def _firewall(port: ServicePort, context: RuleContext, tables: Tables, external_chain: str) -> None:
    """loadBalancerSourceRanges: who is in goes on; the filter table drops who is not."""
    chain, sources = chain_name("FW", port), list(port.source_ranges)
    if context.lets_node_in(sources):   # the node's own packet to the address may carry that very address as source
        sources += [f"{address}/32" for address in port.load_balancer_ips]
    tables.nat[chain] = [
        f'-s {source} -m comment --comment "{port.name} loadbalancer IP" -j {external_chain}' for source in sources]
    tables.nat[chain].append(
        f'-m comment --comment "other traffic to {port.name} will be dropped by KUBE-PROXY-FIREWALL"')
    for address in port.load_balancer_ips:
        tables.filter["KUBE-PROXY-FIREWALL"].append(
            f'-d {address}/32 {_proto(port, f"{port.name} traffic not accepted by {chain}")} '
            f"--dport {port.port} -j DROP")


def _balance(port: ServicePort, context: RuleContext, tables: Tables, chain: str,
             endpoints: list[ProxyEndpoint]) -> None:
    """Masquerade who comes from outside the Pod network; then sticky clients; then a coin per endpoint."""
    lines = [f"! -s {context.cluster_cidr} -d {address}/32 {_proto(port, f'{port.name} cluster IP')} "
             f"--dport {port.port} -j KUBE-MARK-MASQ" for address in port.cluster_ips
             if port.internal_local == chain.startswith("KUBE-SVL")]
    if port.affinity:
        for endpoint in endpoints:
            target = chain_name("SEP", port, endpoint)
            lines.append(f'-m comment --comment "{port.name} -> {endpoint}" -m recent --rcheck '
                         f"--seconds {port.affinity} --reap --name {target} --mask 255.255.255.255 --rsource "
                         f"-j {target}")
    for index, endpoint in enumerate(endpoints):
        left = len(endpoints) - index
        coin = f" -m statistic --mode random --probability {probability(left)}" if left > 1 else ""
        lines.append(f'-m comment --comment "{port.name} -> {endpoint}"{coin} -j {chain_name("SEP", port, endpoint)}')
    tables.nat[chain] = lines


def _endpoint(port: ServicePort, tables: Tables, endpoint: ProxyEndpoint) -> None:
    chain, protocol = chain_name("SEP", port, endpoint), port.protocol.lower()
    sticky = f" -m recent --set --name {chain} --mask 255.255.255.255 --rsource" if port.affinity else ""
    tables.nat[chain] = [
        f'-s {endpoint.ip}/32 -m comment --comment "{port.name}" -j KUBE-MARK-MASQ',
        f'-p {protocol} -m comment --comment "{port.name}"{sticky} -m {protocol} -j DNAT --to-destination {endpoint}']


def probability(endpoints: int) -> str:
    """1/n as the kernel keeps it, in 31 bits, and as iptables-save prints it."""
    asked = float(f"{1 / endpoints:.10f}")
    return f"{round(asked * 2**31) / 2**31:.11f}"


def _proto(port: ServicePort, comment: str) -> str:
    protocol = port.protocol.lower()
    return f'-p {protocol} -m comment --comment "{comment}" -m {protocol}'


def _why(port: ServicePort, found: Reachable) -> tuple[str, str]:
    """Why there is no endpoint, and what happens: nobody anywhere is an answer, nobody here is silence."""
    if found.anywhere:
        return f"{port.name} has no local endpoints", "-j DROP"
    return f"{port.name} has no endpoints", "-j REJECT --reject-with icmp-port-unreachable"


def _refuse(port: ServicePort, tables: Tables, chain: str, addresses: Iterable[str], found: Reachable) -> None:
    why, verdict = _why(port, found)
    for address in addresses:
        tables.filter[chain].append(f"-d {address}/32 {_proto(port, why)} --dport {port.port} {verdict}")


def _nat_base() -> dict[str, list[str]]:
    portals = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
    return {
        "PREROUTING": [portals], "OUTPUT": [portals],
        "POSTROUTING": ['-m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING'],
        "KUBE-KUBELET-CANARY": [], "KUBE-PROXY-CANARY": [], "KUBE-NODEPORTS": [], "KUBE-SERVICES": [],
        "KUBE-MARK-MASQ": [f"-j MARK --set-xmark {MARK}"],
        "KUBE-POSTROUTING": [
            f"-m mark ! --mark {MARK} -j RETURN", "-j MARK --set-xmark 0x4000/0x0",
            '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully'],
    }


def _filter_base(context: RuleContext) -> dict[str, list[str]]:
    new = "-m conntrack --ctstate NEW -m comment --comment"
    counter = "-m nfacct --nfacct-name  ct_state_invalid_dropped_pkts " if context.nfacct else ""
    firewall = f'{new} "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL'
    portals = f'{new} "kubernetes service portals" -j KUBE-SERVICES'
    visible = f'{new} "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES'
    return {
        "INPUT": [firewall, '-m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS', visible,
                  "-j KUBE-FIREWALL"],
        "FORWARD": [firewall, '-m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD', portals, visible],
        "OUTPUT": [firewall, portals, "-j KUBE-FIREWALL"],
        "KUBE-EXTERNAL-SERVICES": [], "KUBE-KUBELET-CANARY": [], "KUBE-NODEPORTS": [], "KUBE-PROXY-CANARY": [],
        "KUBE-PROXY-FIREWALL": [], "KUBE-SERVICES": [],
        "KUBE-FIREWALL": [
            '! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" '
            "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"],
        "KUBE-FORWARD": [
            f"-m conntrack --ctstate INVALID {counter}-j DROP",
            f'-m comment --comment "kubernetes forwarding rules" -m mark --mark {MARK} -j ACCEPT',
            '-m comment --comment "kubernetes forwarding conntrack rule" '
            "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"],
    }
