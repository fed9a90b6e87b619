"""Actions: what a controller wants done, as values.

`diff` does not write.  It returns a list of these, so a test can say "for this ReplicaSet and these Pods, exactly
two creates are expected", a paused controller can show what it *would* do, and the reconcile record keeps it.
`Controller.act` is the only place that turns an action into a request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Emit:
    """An Event about an object.  In one that follows a write, {name} and {error} stand for the write's outcome."""

    about: Object = field(repr=False)
    reason: str
    message: str
    type: str = "Normal"
    action: str = ""

    def __str__(self) -> str:
        return f"event {self.reason}: {self.message}"


@dataclass(frozen=True)
class Create:
    """POST.  With a subresource, on an existing object: a Pod's binding or eviction."""

    resource: str
    obj: Object = field(repr=False)
    then: Emit | None = None
    failed: Emit | None = None
    subresource: str = ""

    def __str__(self) -> str:
        if self.subresource:
            return f"create {self.resource} {self.obj['metadata']['name']}/{self.subresource}"
        meta = self.obj["metadata"]
        return f"create {self.resource} {meta.get('name') or meta.get('generateName', '') + '*'}"


@dataclass(frozen=True)
class Update:
    """PUT of the whole object; with the resourceVersion that was observed it is a compare-and-swap."""

    resource: str
    obj: Object = field(repr=False)
    then: Emit | None = None
    failed: Emit | None = None

    def __str__(self) -> str:
        return f"update {self.resource} {self.obj['metadata']['name']}"


@dataclass(frozen=True)
class UpdateStatus:
    """PUT of the status subresource: a separate door, so that a spec can never be overwritten on the way."""

    resource: str
    obj: Object = field(repr=False)

    @property
    def status(self) -> Object:
        return self.obj["status"]

    def __str__(self) -> str:
        return f"update status of {self.resource} {self.obj['metadata']['name']}"


@dataclass(frozen=True)
class Patch:
    resource: str
    namespace: str
    name: str
    patch: Any = field(repr=False)
    kind: str = "merge"
    subresource: str = ""
    then: Emit | None = None
    failed: Emit | None = None

    def __str__(self) -> str:
        return f"patch {self.resource} {self.name}" + (f"/{self.subresource}" if self.subresource else "")


@dataclass(frozen=True)
class Delete:
    """uid: delete this very object, not another one that has its name by now."""

    resource: str
    namespace: str
    name: str
    uid: str = ""
    grace: int | None = None
    propagation: str = ""
    then: Emit | None = None
    failed: Emit | None = None

    def __str__(self) -> str:
        return f"delete {self.resource} {self.name}"


@dataclass(frozen=True)
class RequeueAfter:
    """Look at this key again in `seconds` even if nothing happens to it."""

    seconds: float

    def __str__(self) -> str:
        return f"look again in {self.seconds:g} s"


Action = Create | Update | UpdateStatus | Patch | Delete | Emit | RequeueAfter
