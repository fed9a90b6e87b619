"""The reconcile record: what one turn of the loop saw, decided and did.

This is the microscope under which a learner looks at a controller: what woke it (object and revision), what it
observed, which actions it decided on, which writes came of them (with revisions), how long it took, what failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from kitlib.client.client import Write
from kitlib.objects.meta import object_key

SHOWN = 10


@dataclass(frozen=True, slots=True)
class Wake:
    """The watch event that put a key into the queue."""

    type: str
    resource: str
    key: str
    revision: int


@dataclass(slots=True)
class Record:
    number: int
    controller: str
    key: str
    started: float
    woke: Wake | None
    observed: Any = None
    actions: list[str] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""
    stepped: bool = False   # a person's doing: the controller was paused

    def as_json(self) -> dict[str, Any]:
        """Plain data for /kit/records."""
        woke = self.woke and {name: getattr(self.woke, name) for name in ("type", "resource", "key", "revision")}
        writes = [{name: getattr(w, name) for name in
                   ("verb", "resource", "namespace", "name", "uid", "revision", "subresource")} for w in self.writes]
        return {"number": self.number, "controller": self.controller, "key": self.key, "started": self.started,
                "woke": woke, "observed": self.observed, "actions": self.actions, "writes": writes,
                "seconds": self.seconds, "error": self.error, "stepped": self.stepped}


def summarise(value: Any, depth: int = 0) -> Any:
    """A small JSON picture of an observation: objects by name and revision, long lists by their first few."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        if isinstance(value.get("metadata"), Mapping) and "name" in value["metadata"]:
            return _object(value)
        shown = {str(k): summarise(v, depth + 1) for k, v in list(value.items())[:SHOWN]} if depth < 3 else {}
        return shown if len(shown) == len(value) else shown | {"…": len(value) - len(shown)}
    if isinstance(value, (Sequence, set, frozenset)):
        shown_items = [summarise(v, depth + 1) for v in list(value)[:SHOWN]]
        return shown_items if len(value) <= SHOWN else [*shown_items, f"… {len(value) - SHOWN} more"]
    if is_dataclass(value):
        return {f.name: summarise(getattr(value, f.name), depth + 1) for f in fields(value) if f.repr}
    return str(value)


def _object(obj: Mapping[str, Any]) -> str:
    meta = obj["metadata"]
    phase = (obj.get("status") or {}).get("phase")
    marks = [phase] if isinstance(phase, str) else []
    if meta.get("deletionTimestamp"):
        marks.append("terminating")
    text = f"{obj.get('kind', 'object')} {object_key(obj)} @{meta.get('resourceVersion', '?')}"
    return f"{text} ({', '.join(marks)})" if marks else text
