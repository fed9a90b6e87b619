"""From one state of kube-proxy's table to another: one transaction for `nft -f -`.

The order is the kernel's wish: nothing may be deleted while something points at it, nothing be pointed at before it is
there.

    delete element …   flush chain …   delete chain …   delete set …
    add set …          add chain …     add rule …       add element …

Who sticks to which endpoint (the affinity sets' elements) is the kernel's own memory and survives.
Source: nft(8); sigs.k8s.io/knftables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..nftables import COMMENT, NAME, Block, Table

NOTHING = Table({}, [], [])


def transaction(before: Table, after: Table) -> str:
    """The text; "" if nothing is different."""
    lines = [*_take_away(before, after), *_add(before, after)]
    if not lines:
        return ""
    return "".join(f"{line}\n" for line in (f'add table {NAME} {{ comment "{COMMENT}" ; }}', *lines))


def delete() -> str:
    """The whole table goes, also where there is none."""
    return f"add table {NAME}\ndelete table {NAME}\n"


def _by_name(blocks: Iterable[Block]) -> dict[str, Block]:
    return {block.name: block for block in blocks}


def _sets(table: Table) -> dict[str, Block]:
    return {**table.sets, **_by_name(table.affinity)}


def _take_away(before: Table, after: Table) -> Iterator[str]:
    for name, block in before.sets.items():
        gone = set(block.elements) - set(after.sets[name].elements if name in after.sets else ())
        yield from (f"delete element {NAME} {name} {{ {_key(element)} }}" for element in sorted(gone))
    chains = _by_name(after.chains)
    for chain in before.chains:
        if chain.name not in chains or chains[chain.name].lines != chain.lines:
            yield f"flush chain {NAME} {chain.name}"
    yield from (f"delete chain {NAME} {chain.name}" for chain in before.chains if chain.name not in chains)
    sets = _sets(after)
    for name, block in _sets(before).items():
        if name not in sets or sets[name].lines != block.lines:
            yield f"delete {block.head.partition(' ')[0]} {NAME} {name}"


def _add(before: Table, after: Table) -> Iterator[str]:
    sets = _sets(before)
    for name, block in _sets(after).items():
        if name not in sets or sets[name].lines != block.lines:
            yield f"add {block.head.partition(' ')[0]} {NAME} {name} {{ {' ; '.join(block.lines)} ; }}"
    chains = _by_name(before.chains)
    fresh = [c for c in after.chains if c.name not in chains or chains[c.name].lines != c.lines]
    for chain in fresh:
        if chain.name not in chains:
            yield f"add chain {NAME} {chain.name}{_declaration(chain)}"
    for chain in fresh:
        yield from (f"add rule {NAME} {chain.name} {line}" for line in chain.lines if not _declares(line))
    for name, block in after.sets.items():
        there = set(before.sets[name].elements if name in before.sets else ())
        yield from (f"add element {NAME} {name} {{ {e} }}" for e in block.elements if e not in there)


def _declares(line: str) -> bool:
    """A line of a chain that belongs to the chain itself: what it hooks into, what it is for."""
    return line.startswith(("type ", "comment "))


def _declaration(chain: Block) -> str:
    said = [line.rstrip(";") for line in chain.lines if _declares(line)]
    return f" {{ {' ; '.join(said)} ; }}" if said else ""


def _key(element: str) -> str:
    return element.partition(" : ")[0].partition(' comment "')[0]
