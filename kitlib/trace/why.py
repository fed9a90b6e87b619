"""Why an object is as it is: the chain of causes behind its last change, back to a person.

    @118 kubectl-create              creates Deployment web (replicas: 3)
    @119 …/deployment                  creates ReplicaSet web-6b7f (replicas: 3)
    @124 …/replicaset                    creates Pod web-6b7f-x7k2p
    @131 kube-scheduler                    assigns Pod web-6b7f-x7k2p to node-2
    @140 kubelet/node-2                      reports Pod web-6b7f-x7k2p: Pending → Running

Each write carries the revision whose watch event woke its writer (record.py), so the chain is followed, not guessed.
A cluster that is not ours keeps no causes: there the writes are told in their order, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kitlib.trace import rebuild
from kitlib.trace.flow import parse_target, tell
from kitlib.trace.record import Record


@dataclass(frozen=True)
class Link:
    """One write of the chain, and what it did in words."""

    record: Record
    text: str


@dataclass(frozen=True)
class Why:
    """links: from the first cause to the last effect.

    lost: the revision of a cause of which there is no record, 0 if the chain is whole.  guessed: put together from
    managedFields and Events, in the order in which it must have been.
    """

    target: str
    links: tuple[Link, ...]
    lost: int = 0
    guessed: bool = False

    def json(self) -> dict[str, Any]:
        return {"target": self.target, "lost": self.lost, "guessed": self.guessed,
                "links": [{**asdict(link.record), "text": link.text} for link in self.links]}

    def __str__(self) -> str:
        actors = [link.record.actor for link in self.links]
        wide = max(map(len, actors), default=0)
        lines = [f"@{link.record.revision:<6} {actor:<{wide}}  {'  ' * depth}{link.text}"
                 for depth, (link, actor) in enumerate(zip(self.links, actors, strict=True))]
        if self.lost:
            lines.insert(0, f"@{self.lost:<6} {'…':<{wide}}  (no record of this one: a heartbeat, or too long ago)")
        if self.guessed:
            lines.append("This cluster keeps no causes: these are the writes, in the order that they must have.")
        return "\n".join(lines)

    __repr__ = __str__


def fetch(client: Any, target: str, namespace: str) -> Why:
    """Ask a cluster.  Raises flow.BadTarget, and StatusError if the object is not there."""
    resource, name = parse_target(target)
    found, guessed = rebuild.known(client, resource, namespace, name)
    if guessed:
        return Why(target, tuple(Link(record, tell(record)) for record in found), guessed=True)
    return chain(found, target, namespace)


def chain(records: Sequence[Record], target: str, namespace: str) -> Why:
    """Follow the causes of the object's last write that had one.  No links: nothing is known of the object."""
    resource, name = parse_target(target)
    mine = [r for r in records if (r.resource, r.namespace, r.name) == (resource, namespace, name)]
    if not mine:
        return Why(target, ())
    by_revision = {record.revision: record for record in records}
    at: Record | None = mine[-1]
    links: list[Link] = []
    while at is not None:
        links.append(Link(at, tell(at)))
        if not at.cause:
            return Why(target, tuple(links[::-1]))
        lost, at = at.cause, by_revision.get(at.cause)
    return Why(target, tuple(links[::-1]), lost)
