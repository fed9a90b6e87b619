"""DNS as dig shows it, and above it what dig does not tell: which names were tried, and why.

    ; <<>> kit dig <<>> web A
    ;; as a Pod of namespace shop: ndots:5, "web" has 0 dots, so the search path comes first
    ;;   web.shop.svc.cluster.local     NOERROR, 1 record
    ;; Got answer:
    …

Source: dig's output (BIND 9, dig.c and dns/message.c).
"""

from __future__ import annotations

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from kitlib.traffic.resolve import Lookup, ResolvConf


def explanation(conf: ResolvConf, found: Lookup, namespace: str) -> list[str]:
    """Which names were tried, in words."""
    dots = found.name.count(".")
    counted = f'"{found.name}" has {dots} dot{"" if dots == 1 else "s"}'
    if not conf.searches or found.name.endswith("."):
        why = f'"{found.name}" is taken as it is, without a search path'
    elif dots >= conf.ndots:
        why = f"as a Pod of namespace {namespace}: ndots:{conf.ndots}, {counted}, so it is tried as it is first"
    else:
        why = f"as a Pod of namespace {namespace}: ndots:{conf.ndots}, {counted}, so the search path comes first"
    width = max((len(each.name) for each in found.tries), default=0)
    return [why, *(f"  {each.name:<{width}}  {each.code}, "
                   f"{each.records} record{'' if each.records == 1 else 's'}" for each in found.tries)]


def text(conf: ResolvConf, found: Lookup, namespace: str, *, tcp: bool = False) -> str:
    """The whole page."""
    lines = [f"; <<>> kit dig <<>> {found.name} {found.type}",
             *(f";; {line}" for line in explanation(conf, found, namespace)), ""]
    message = found.answer
    if message is not None:
        lines += _header(message)
        for title, section in (("ANSWER", message.answer), ("AUTHORITY", message.authority),
                               ("ADDITIONAL", message.additional)):
            if section:
                lines += ["", f";; {title} SECTION:", *(line for rrset in section for line in _records(rrset))]
    taken = sum(each.seconds for each in found.tries)
    lines += ["", f";; Query time: {taken * 1000:.0f} msec in {len(found.tries)} "
                  f"quer{'y' if len(found.tries) == 1 else 'ies'}",
              f";; SERVER: {conf.server}#53({conf.server}) ({'TCP' if tcp else 'UDP'})"]
    return "\n".join(lines)


def _header(message: dns.message.Message) -> list[str]:
    question = message.question[0]
    counts = ", ".join(f"{name}: {sum(len(rrset) for rrset in section)}" for name, section in (
        ("ANSWER", message.answer), ("AUTHORITY", message.authority), ("ADDITIONAL", message.additional)))
    return [";; Got answer:",
            f";; ->>HEADER<<- opcode: {dns.opcode.to_text(message.opcode())}, "
            f"status: {dns.rcode.to_text(message.rcode())}, id: {message.id}",
            f";; flags: {dns.flags.to_text(message.flags).lower()}; QUERY: 1, {counts}", "",
            ";; QUESTION SECTION:",
            f";{question.name.to_text():<31} IN\t{dns.rdatatype.to_text(question.rdtype)}"]


def _records(rrset: dns.rrset.RRset) -> list[str]:
    kind = dns.rdatatype.to_text(rrset.rdtype)
    return [f"{rrset.name.to_text():<31} {rrset.ttl}\tIN\t{kind}\t{record.to_text()}" for record in rrset]


def short(found: Lookup) -> list[str]:
    """`dig +short`: only what the records say."""
    message = found.answer
    return [record.to_text() for rrset in (message.answer if message else ()) for record in rrset]
