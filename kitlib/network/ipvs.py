"""kube-proxy's ipvs mode as a pure function: virtual servers for the kernel's load balancer, sets, and few rules.

iptables asks rule after rule.  IPVS is a load balancer in the kernel with a hash table: one look-up finds the virtual
server, however many there are.  It needs the packet to be for this machine, so every Service address is bound to a
device that leads nowhere:

    device kube-ipvs0     10.96.50.1, …      so the packet comes IN instead of passing through
    -A -t 10.96.50.1:80 -s rr                the virtual server, and how it chooses: each in turn
    -a -t 10.96.50.1:80 -r 10.244.0.201:8080 -m -w 1     a real server: the Pod

iptables is left with what IPVS cannot do, masquerading and filtering, and needs no rule per Service: it asks whether
an address is in a set.  The rules are the same for one Service and for ten thousand.

Kubernetes has deprecated this mode (KEP-5495): nftables gives the same speed with one tool instead of three.

The texts are those of `ipvsadm-save -n`, `ipset save` and `iptables-save`.  Source: pkg/proxy/ipvs/proxier.go and
ipset.go (syncProxyRules, writeIptablesRules, ipsetWithIptablesChain).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .iptables import MARK, RuleContext, Tables
from .service_ports import ProxyEndpoint, ServicePort, reachable

DUMMY_DEVICE = "kube-ipvs0"
SCHEDULER = "rr"
_FLAG = {"TCP": "-t", "UDP": "-u", "SCTP": "--sctp-service"}

# name → (type, comment).  The order is that in which kube-proxy makes them.
SETS = {
    "KUBE-LOOP-BACK": ("hash:ip,port,ip", "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose"),
    "KUBE-CLUSTER-IP": ("hash:ip,port", "Kubernetes service cluster ip + port for masquerade purpose"),
    "KUBE-EXTERNAL-IP": ("hash:ip,port", "Kubernetes service external ip + port for masquerade and filter purpose"),
    "KUBE-EXTERNAL-IP-LOCAL": (
        "hash:ip,port", "Kubernetes service external ip + port with externalTrafficPolicy=local"),
    "KUBE-LOAD-BALANCER": ("hash:ip,port", "Kubernetes service lb portal"),
    "KUBE-LOAD-BALANCER-FW": (
        "hash:ip,port", "Kubernetes service load balancer ip + port for load balancer with sourceRange"),
    "KUBE-LOAD-BALANCER-LOCAL": (
        "hash:ip,port", "Kubernetes service load balancer ip + port with externalTrafficPolicy=local"),
    "KUBE-LOAD-BALANCER-SOURCE-IP": (
        "hash:ip,port,ip", "Kubernetes service load balancer ip + port + source IP for packet filter purpose"),
    "KUBE-LOAD-BALANCER-SOURCE-CIDR": (
        "hash:ip,port,net", "Kubernetes service load balancer ip + port + source cidr for packet filter purpose"),
    "KUBE-NODE-PORT-TCP": ("bitmap:port", "Kubernetes nodeport TCP port for masquerade purpose"),
    "KUBE-NODE-PORT-LOCAL-TCP": ("bitmap:port", "Kubernetes nodeport TCP port with externalTrafficPolicy=local"),
    "KUBE-NODE-PORT-UDP": ("bitmap:port", "Kubernetes nodeport UDP port for masquerade purpose"),
    "KUBE-NODE-PORT-LOCAL-UDP": ("bitmap:port", "Kubernetes nodeport UDP port with externalTrafficPolicy=local"),
    "KUBE-NODE-PORT-SCTP-HASH": (
        "hash:ip,port", "Kubernetes nodeport SCTP port for masquerade purpose with type 'hash ip:port'"),
    "KUBE-NODE-PORT-LOCAL-SCTP-HASH": (
        "hash:ip,port", "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type 'hash ip:port'"),
    "KUBE-HEALTH-CHECK-NODE-PORT": ("bitmap:port", "Kubernetes health check node port"),
    "KUBE-IPVS-IPS": ("hash:ip", "Addresses on the ipvs interface"),
}


@dataclass(slots=True)
class VirtualServer:
    """One address and port that IPVS balances.  persistent: seconds that a client keeps its real server, 0 for none."""

    address: str
    port: int
    protocol: str
    persistent: int
    real_servers: list[ProxyEndpoint]
    service: str

    @property
    def key(self) -> str:
        """-t 10.96.50.1:80, as ipvsadm names it."""
        return f"{_FLAG[self.protocol]} {self.address}:{self.port}"

    def lines(self) -> list[str]:
        head = f"-A {self.key} -s {SCHEDULER}" + (f" -p {self.persistent}" if self.persistent else "")
        return [head, *(self.line_of(endpoint) for endpoint in self.real_servers)]

    def line_of(self, endpoint: ProxyEndpoint) -> str:
        return f"-a {self.key} -r {endpoint} -m -w 1"


@dataclass(slots=True)
class Ipvs:
    """All that a node in ipvs mode has: the balancer's table, the sets, the rules, the addresses of kube-ipvs0."""

    servers: list[VirtualServer] = field(default_factory=list)
    sets: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in SETS})
    tables: Tables = field(default_factory=Tables)

    @property
    def bound(self) -> list[str]:
        return self.sets["KUBE-IPVS-IPS"]

    def servers_text(self) -> str:
        """As `ipvsadm-save -n` prints them."""
        return "".join(f"{line}\n" for server in self.servers for line in server.lines())

    def sets_text(self) -> str:
        """As `ipset save` prints them."""
        return "".join(f"create {name} {SETS[name][0]} {_shape(name)}\n" + "".join(f"add {name} {e}\n" for e in entries)
                       for name, entries in self.sets.items())

    def text(self) -> str:
        return (f"# ipvsadm-save -n\n{self.servers_text()}# ipset save\n{self.sets_text()}"
                f"# iptables-save -t nat\n{self.tables.text('nat')}"
                f"# iptables-save -t filter\n{self.tables.text('filter')}")


def rules(ports: Iterable[ServicePort], context: RuleContext) -> Ipvs:
    """Virtual servers, sets and rules of a node for these Services."""
    out = Ipvs()
    unreachable_from_node: list[str] = []
    for port in ports:
        _service(port, context, out, unreachable_from_node)
    for entries in out.sets.values():
        entries[:] = dict.fromkeys(entries)
    out.tables = _tables(out.sets, context, unreachable_from_node)
    return out


def _service(port: ServicePort, context: RuleContext, out: Ipvs, unreachable_from_node: list[str]) -> None:
    found, protocol = reachable(port, context.node, context.zone), port.protocol.lower()
    # Without an endpoint here, policy Local falls back to all: a Pod of this node still gets through.
    internal, external = found.internal or found.cluster, found.external or found.cluster
    here = [e for e in port.endpoints if e.node == context.node]
    out.sets["KUBE-LOOP-BACK"] += [f"{e.ip},{protocol}:{e.port},{e.ip}" for e in here]

    def serve(address: str, number: int, endpoints: Sequence[ProxyEndpoint], *, bind: bool = True) -> None:
        out.servers.append(VirtualServer(address, number, port.protocol, port.affinity, list(endpoints), port.name))
        if bind and address not in context.node_addresses:
            out.bound.append(address)

    for address in port.cluster_ips:
        out.sets["KUBE-CLUSTER-IP"].append(f"{address},{protocol}:{port.port}")
        serve(address, port.port, internal)
    for address in port.external_ips:
        name = "KUBE-EXTERNAL-IP-LOCAL" if port.external_local else "KUBE-EXTERNAL-IP"
        out.sets[name].append(f"{address},{protocol}:{port.port}")
        serve(address, port.port, external)
    for address in port.load_balancer_ips:
        _balancer(port, address, context, out, unreachable_from_node)
        serve(address, port.port, external)
    if port.node_port and context.node_addresses:
        _node_port(port, context, out)
        for address in context.node_addresses:
            serve(address, port.node_port, external, bind=False)
    if port.health_check_node_port:
        out.sets["KUBE-HEALTH-CHECK-NODE-PORT"].append(str(port.health_check_node_port))


def _balancer(port: ServicePort, address: str, context: RuleContext, out: Ipvs,
              unreachable_from_node: list[str]) -> None:
    entry = f"{address},{port.protocol.lower()}:{port.port}"
    out.sets["KUBE-LOAD-BALANCER"].append(entry)
    if port.external_local:
        out.sets["KUBE-LOAD-BALANCER-LOCAL"].append(entry)
    if not port.source_ranges:
        return
    out.sets["KUBE-LOAD-BALANCER-FW"].append(entry)
    out.sets["KUBE-LOAD-BALANCER-SOURCE-CIDR"] += [f"{entry},{source}" for source in port.source_ranges]
    if context.lets_node_in(port.source_ranges):
        out.sets["KUBE-LOAD-BALANCER-SOURCE-IP"].append(f"{entry},{address}")
    else:   # the node's own packets carry the address as their source, so no set of sources can tell them
        unreachable_from_node.append(f"-s {address}/32 -m ipvs --vproto {_NUMBER[port.protocol]} --vaddr {address}/32 "
                                     f"--vport {port.port} -j DROP")


_NUMBER = {"TCP": 6, "UDP": 17, "SCTP": 132}


def _node_port(port: ServicePort, context: RuleContext, out: Ipvs) -> None:
    sctp = port.protocol == "SCTP"
    entries = [f"{a},sctp:{port.node_port}" for a in context.node_addresses] if sctp else [str(port.node_port)]
    for place in ("", "LOCAL-") if port.external_local else ("",):
        out.sets[f"KUBE-NODE-PORT-{place}{port.protocol}{'-HASH' if sctp else ''}"] += entries


def _shape(name: str) -> str:
    return "range 0-65535" if SETS[name][0] == "bitmap:port" else "family inet hashsize 1024 maxelem 65536"


def _in_set(name: str, match: str, target: str, head: str = "") -> str:
    return f'{head}-m comment --comment "{SETS[name][1]}" -m set --match-set {name} {match} -j {target}'


def _tables(sets: dict[str, list[str]], context: RuleContext, unreachable_from_node: list[str]) -> Tables:
    """The rules depend on which sets have something in them, and on nothing else."""
    tables = Tables(_nat(), _filter())
    nat, both = tables.nat, "dst,dst"

    def add(chain: list[str], name: str, match: str, target: str, head: str = "") -> None:
        if sets[name]:
            chain.append(_in_set(name, match, target, head))

    services = nat["KUBE-SERVICES"]
    services.append("-s 127.0.0.0/8 -j RETURN")
    add(nat["KUBE-POSTROUTING"], "KUBE-LOOP-BACK", "dst,dst,src", "MASQUERADE")
    add(services, "KUBE-LOAD-BALANCER", both, "KUBE-LOAD-BALANCER")
    add(nat["KUBE-LOAD-BALANCER"], "KUBE-LOAD-BALANCER-LOCAL", both, "RETURN")
    for protocol, suffix, match in (("tcp", "TCP", "dst"), ("udp", "UDP", "dst"), ("sctp", "SCTP-HASH", both)):
        add(nat["KUBE-NODE-PORT"], f"KUBE-NODE-PORT-LOCAL-{suffix}", match, "RETURN", f"-p {protocol} ")
        add(nat["KUBE-NODE-PORT"], f"KUBE-NODE-PORT-{suffix}", match, "KUBE-MARK-MASQ", f"-p {protocol} ")
    add(services, "KUBE-CLUSTER-IP", both, "KUBE-MARK-MASQ", f"! -s {context.cluster_cidr} ")
    add(services, "KUBE-EXTERNAL-IP", both, "KUBE-MARK-MASQ")
    for name in ("KUBE-EXTERNAL-IP", "KUBE-EXTERNAL-IP-LOCAL"):
        off_machine = f"{both} -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL"
        add(services, name, off_machine, "ACCEPT")
        add(services, name, f"{both} -m addrtype --dst-type LOCAL", "ACCEPT")
    services.append("-m addrtype --dst-type LOCAL -j KUBE-NODE-PORT")
    services += [f"-m set --match-set {name} {both} -j ACCEPT" for name in ("KUBE-CLUSTER-IP", "KUBE-LOAD-BALANCER")
                 if sets[name]]
    nat["KUBE-LOAD-BALANCER"].append("-j KUBE-MARK-MASQ")
    nat["KUBE-POSTROUTING"] += _postrouting()
    ranges = tables.filter["KUBE-SOURCE-RANGES-FIREWALL"]
    add(tables.filter["KUBE-PROXY-FIREWALL"], "KUBE-LOAD-BALANCER-FW", both, "KUBE-SOURCE-RANGES-FIREWALL")
    add(ranges, "KUBE-LOAD-BALANCER-SOURCE-CIDR", "dst,dst,src", "RETURN")
    add(ranges, "KUBE-LOAD-BALANCER-SOURCE-IP", "dst,dst,src", "RETURN")
    ranges.append("-j DROP")
    tables.filter["KUBE-IPVS-OUT-FILTER"] += unreachable_from_node
    return tables


def _jump(comment: str, chain: str) -> str:
    return f'-m comment --comment "{comment}" -j {chain}'


def _nat() -> dict[str, list[str]]:
    portals = _jump("kubernetes service portals", "KUBE-SERVICES")
    return {"PREROUTING": [portals], "OUTPUT": [portals],
            "POSTROUTING": [_jump("kubernetes postrouting rules", "KUBE-POSTROUTING")],
            "KUBE-LOAD-BALANCER": [], "KUBE-MARK-MASQ": [f"-j MARK --set-xmark {MARK}"], "KUBE-NODE-PORT": [],
            "KUBE-POSTROUTING": [], "KUBE-SERVICES": []}


def _postrouting() -> list[str]:
    return [f"-m mark ! --mark {MARK} -j RETURN", "-j MARK --set-xmark 0x4000/0x0",
            '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully']


def _filter() -> dict[str, list[str]]:
    """A Service address is this machine's own here, so its other ports must be closed: KUBE-IPVS-FILTER."""
    firewall = _jump("kube-proxy firewall rules", "KUBE-PROXY-FIREWALL")
    known = [("KUBE-LOAD-BALANCER", "dst,dst"), ("KUBE-CLUSTER-IP", "dst,dst"), ("KUBE-EXTERNAL-IP", "dst,dst"),
             ("KUBE-EXTERNAL-IP-LOCAL", "dst,dst"), ("KUBE-HEALTH-CHECK-NODE-PORT", "dst")]
    return {
        "INPUT": [_jump("kubernetes ipvs access filter", "KUBE-IPVS-FILTER"), firewall,
                  _jump("kubernetes health check rules", "KUBE-NODE-PORT")],
        "FORWARD": [firewall, _jump("kubernetes forwarding rules", "KUBE-FORWARD")],
        "OUTPUT": [_jump("kubernetes ipvs access filter", "KUBE-IPVS-OUT-FILTER")],
        "KUBE-FORWARD": [
            f'-m comment --comment "kubernetes forwarding rules" -m mark --mark {MARK} -j ACCEPT',
            '-m comment --comment "kubernetes forwarding conntrack rule" '
            "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"],
        "KUBE-IPVS-FILTER": [
            *(f"-m set --match-set {name} {match} -j RETURN" for name, match in known),
            "-m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst "
            "-j REJECT --reject-with icmp-port-unreachable"],
        "KUBE-IPVS-OUT-FILTER": [],
        "KUBE-NODE-PORT": [_in_set("KUBE-HEALTH-CHECK-NODE-PORT", "dst", "ACCEPT")],
        "KUBE-PROXY-FIREWALL": [], "KUBE-SOURCE-RANGES-FIREWALL": []}
