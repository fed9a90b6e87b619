"""kube-proxy's nftables mode as a pure function: Services and EndpointSlices in, one table out.

iptables asks rule after rule, so ten thousand Services are ten thousand questions.  nftables has maps: one look-up of
(address, protocol, port) finds the Service's chain, however many there are.

    nat-prerouting ─▶ services ─▶ @service-ips    10.96.50.1 . tcp . 80 : goto service-LMSEFEYO-proxy/web/tcp/
                                  @service-nodeports     tcp . 30080    : goto external-…
                      service-…   dnat ip to numgen random mod 3 map { 0 : 10.244.0.201 . 8080, … }
    nat-postrouting ▶ masquerading

The text is that of `nft list table ip kube-proxy`.  Source: pkg/proxy/nftables/proxier.go, its README.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from .iptables import RuleContext
from .service_ports import ProxyEndpoint, ServicePort, reachable

NAME, COMMENT = "ip kube-proxy", "rules for kube-proxy"
_BLOCK = re.compile(r"^\t((?:set|map|chain) \S+) \{\n(.*?)^\t\}$", re.M | re.S)
MARK = "meta mark set meta mark | 0x00004000"


@dataclass(slots=True)
class Block:
    """A set, map or chain: its kind and name, its lines."""

    head: str
    lines: list[str]
    elements: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.head.partition(" ")[2]

    def text(self) -> str:
        body = list(self.lines)
        if self.elements:
            body.append(f"elements = {{ {self._joined()} }}")
        return f"\t{self.head} {{\n" + "".join(f"\t\t{line}\n" for line in body) + "\t}\n"

    def _joined(self) -> str:
        """nft breaks the line after every element, after every second one if they are short."""
        width = 2 if self.head.startswith("set ") and " . " not in self.elements[0] else 1
        rows = [", ".join(self.elements[i:i + width]) for i in range(0, len(self.elements), width)]
        return ",\n\t\t\t     ".join(rows)


@dataclass(slots=True)
class Table:
    """The whole table `ip kube-proxy`."""

    sets: dict[str, Block]
    affinity: list[Block]
    chains: list[Block]

    def text(self) -> str:
        blocks = [*self.sets.values(), *self.affinity, *self.chains]
        return f'table {NAME} {{\n\tcomment "{COMMENT}"\n' + "\n".join(b.text() for b in blocks) + "}\n"

    @classmethod
    def parse(cls, listed: str) -> Table:
        """What `nft list table ip kube-proxy` printed.  Who sticks to which endpoint is left out: the kernel's own."""
        found = cls({}, [], [])
        for head, body in _BLOCK.findall(listed):
            lines, _, elements = body.partition("\t\telements = {")
            block = Block(head, [line.strip() for line in lines.splitlines() if line.strip()])
            if head.startswith("chain "):
                found.chains.append(block)
            elif block.name.startswith("affinity-"):
                found.affinity.append(block)
            else:
                found.sets[block.name] = block
                block.elements = [" ".join(e.split()) for e in elements.rpartition("}")[0].split(",") if e.strip()]
        return found


def chain_base(port: ServicePort, endpoint: ProxyEndpoint | None = None) -> str:
    """LMSEFEYO-proxy/web/tcp/: a hash that makes it unique, a name that people can read."""
    name = f"{port.namespace}/{port.service}/{port.protocol.lower()}/{port.port_name}"
    if endpoint is not None:
        name += f"__{endpoint.ip}/{endpoint.port}"
    return f"{base64.b32encode(hashlib.sha256(name.encode()).digest()).decode()[:8]}-{name}"


def table(ports: Iterable[ServicePort], context: RuleContext) -> Table:
    """The rules of a node for these Services."""
    result = Table(_sets(context), [], _base_chains(context))
    for port in ports:
        _service(port, context, result)
    result.sets["cluster-ips"].elements.sort(key=_number)
    return result


def _service(port: ServicePort, context: RuleContext, out: Table) -> None:
    found = reachable(port, context.node, context.zone)
    base, protocol = chain_base(port), port.protocol.lower()
    cluster_ips = out.sets["cluster-ips"].elements
    cluster_ips += [address for address in port.cluster_ips if address not in cluster_ips]
    if found.cluster:
        _balance(port, out, f"service-{base}", found.cluster)
    if found.local:
        _balance(port, out, f"local-{base}", found.local)
    for address in port.cluster_ips:
        target = f"goto {'local' if port.internal_local else 'service'}-{base}"
        _entry(port, out, address, target if found.internal else "", found.anywhere)
    if port.outside and found.anywhere:
        _external_chain(port, context, out, base, bool(found.external))
    for address in (*port.external_ips, *port.load_balancer_ips):
        _entry(port, out, address, f"goto external-{base}" if found.anywhere else "", found.anywhere,
               bool(found.external))
    if port.node_port:
        if found.anywhere:
            out.sets["service-nodeports"].elements.append(f"{protocol} . {port.node_port} : goto external-{base}")
        if not found.external:
            verdict = "drop" if found.anywhere else "goto reject-chain"
            out.sets["no-endpoint-nodeports"].elements.append(
                f'{protocol} . {port.node_port} comment "{port.name}" : {verdict}')
    if port.source_ranges and port.load_balancer_ips:
        _firewall(port, context, out, base)
    hairpin = out.sets["hairpin-connections"].elements
    hairpin += [f"{e.ip} . {e.ip} . {protocol} . {e.port}" for e in found.all if e.node == context.node]


def _entry(port: ServicePort, out: Table, address: str, target: str, anywhere: bool, there: bool = True) -> None:
    """One address of the Service: where it leads, or why nowhere."""
    key = f"{address} . {port.protocol.lower()} . {port.port}"
    if target:
        out.sets["service-ips"].elements.append(f"{key} : {target}")
    if not target or not there:
        verdict = "drop" if anywhere else "goto reject-chain"
        out.sets["no-endpoint-services"].elements.append(f'{key} comment "{port.name}" : {verdict}')


def _balance(port: ServicePort, out: Table, chain: str, endpoints: list[ProxyEndpoint]) -> None:
    protocol, count = port.protocol.lower(), len(endpoints)
    if not port.affinity:
        choices = ", ".join(f"{i} : {e.ip} . {e.port}" for i, e in enumerate(endpoints))
        line = f"meta l4proto {protocol} dnat ip to numgen random mod {count} map {{ {choices} }}"
        out.chains.append(Block(f"chain {chain}", [line]))
        return
    sticky, known = [], {block.name for block in out.affinity}
    for endpoint in endpoints:
        base = chain_base(port, endpoint)
        sticky.append(f"ip saddr @affinity-{base} goto endpoint-{base}")
        if f"affinity-{base}" in known:
            continue
        out.affinity.append(Block(f"set affinity-{base}", [
            "type ipv4_addr", "size 65535", "flags dynamic,timeout", f"timeout {span(port.affinity)}"]))
        out.chains.append(Block(f"chain endpoint-{base}", [
            f"update @affinity-{base} {{ ip saddr }}", f"meta l4proto {protocol} dnat to {endpoint}"]))
    choices = ", ".join(f"{i} : goto endpoint-{chain_base(port, e)}" for i, e in enumerate(endpoints))
    out.chains.append(Block(f"chain {chain}", [*sticky, f"numgen random mod {count} vmap {{ {choices} }}"]))


def _external_chain(port: ServicePort, context: RuleContext, out: Table, base: str, there: bool) -> None:
    """Traffic from outside the cluster: masquerade it, or keep it on this node and leave its source as it is."""
    service = f"goto service-{base}"
    if port.external_local:
        lines = [f'ip saddr {context.cluster_cidr} {service} comment "short-circuit pod traffic"',
                 f'fib saddr type local {MARK} comment "masquerade local traffic"',
                 f'fib saddr type local {service} comment "short-circuit local traffic"']
        lines += [f"goto local-{base}"] if there else []
    else:
        lines = [f'{MARK} comment "masquerade"', service]
    out.chains.append(Block(f"chain external-{base}", lines))


def _firewall(port: ServicePort, context: RuleContext, out: Table, base: str) -> None:
    for address in port.load_balancer_ips:
        out.sets["firewall-ips"].elements.append(
            f"{address} . {port.protocol.lower()} . {port.port} : goto firewall-{base}")
    sources = list(port.source_ranges)
    if context.lets_node_in(sources):   # the node's own packet to the address may carry that very address as source
        sources += port.load_balancer_ips
    match = sources[0] if len(sources) == 1 else f"{{ {', '.join(sources)} }}"
    out.chains.append(Block(f"chain firewall-{base}", [f"ip saddr != {match} drop"]))


def span(seconds: int) -> str:
    """600 → 10m, 10800 → 3h, as nft prints a timeout."""
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    return "".join(f"{n}{unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")) if n) or "0s"


def _number(address: str) -> tuple[int, ...]:
    return tuple(int(part) for part in address.split("."))


def _sets(context: RuleContext) -> dict[str, Block]:
    verdict = "type ipv4_addr . inet_proto . inet_service : verdict"
    port_verdict = "type inet_proto . inet_service : verdict"
    declared = [
        ("set", "hairpin-connections", "type ipv4_addr . ipv4_addr . inet_proto . inet_service",
         "service hairpin connections"),
        ("set", "cluster-ips", "type ipv4_addr", "Active ClusterIPs"),
        ("set", "nodeport-ips", "type ipv4_addr", "IPs that accept NodePort traffic"),
        ("map", "no-endpoint-services", verdict, "vmap to drop or reject packets to services with no endpoints"),
        ("map", "no-endpoint-nodeports", port_verdict,
         "vmap to drop or reject packets to service nodeports with no endpoints"),
        ("map", "firewall-ips", verdict, "destinations that are subject to LoadBalancerSourceRanges"),
        ("map", "service-ips", verdict, "ClusterIP, ExternalIP and LoadBalancer IP traffic"),
        ("map", "service-nodeports", port_verdict, "NodePort traffic")]
    sets = {name: Block(f"{kind} {name}", [type_, f'comment "{comment}"']) for kind, name, type_, comment in declared}
    sets["nodeport-ips"].elements += sorted(context.node_addresses, key=_number)
    return sets


def _base_chains(context: RuleContext) -> list[Block]:
    """The hooks and helpers that are there without any Service."""
    def hook(name: str, kind: str, where: str, priority: str, *rules: str) -> Block:
        return Block(f"chain {name}", [f"type {kind} hook {where} priority {priority}; policy accept;", *rules])

    endpoints, cluster = "ct state new jump service-endpoints-check", "ct state new jump cluster-ips-check"
    new_firewall = "ct state new jump firewall-check"
    return [
        hook("filter-prerouting-pre-dnat", "filter", "prerouting", "dstnat - 10", new_firewall),
        hook("filter-output-pre-dnat", "filter", "output", "-110", new_firewall),
        hook("filter-input", "filter", "input", "filter", "ct state new jump nodeport-endpoints-check", endpoints),
        hook("filter-forward", "filter", "forward", "filter", endpoints, cluster),
        hook("filter-output", "filter", "output", "filter", endpoints, cluster),
        hook("nat-prerouting", "nat", "prerouting", "dstnat", "jump services"),
        hook("nat-output", "nat", "output", "-100", "jump services"),
        hook("nat-postrouting", "nat", "postrouting", "srcnat", "jump masquerading"),
        Block("chain nodeport-endpoints-check", [
            "ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports"]),
        Block("chain service-endpoints-check", ["ip daddr . meta l4proto . th dport vmap @no-endpoint-services"]),
        Block("chain firewall-check", ["ip daddr . meta l4proto . th dport vmap @firewall-ips"]),
        Block("chain services", [
            f"ip daddr @cluster-ips ip saddr != {context.cluster_cidr} {MARK} "
            'comment "masquerade clusterIP traffic from outside cluster"',
            "ip daddr . meta l4proto . th dport vmap @service-ips",
            "ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports"]),
        Block("chain masquerading", [
            "meta mark & 0x00004000 != 0x00000000 meta mark set meta mark ^ 0x00004000 masquerade fully-random",
            "ct status dnat ip saddr . ip daddr . meta l4proto . th dport @hairpin-connections "
            "masquerade fully-random"]),
        Block("chain cluster-ips-check", [
            'ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"',
            f'ip daddr {context.service_cidr} drop comment "Drop traffic to unallocated ClusterIPs"']),
        Block("chain reject-chain", ['comment "helper for @no-endpoint-services / @no-endpoint-nodeports"', "reject"]),
    ]
