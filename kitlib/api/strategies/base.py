"""`Strategy`: what one resource does beyond the rules that all share.

The common write path (`api/writing.py`) calls these hooks.  The class itself is the strategy of a
resource without rules of its own; a file beside this one overrides what differs.

Source: k8s.io/apiserver/pkg/registry/rest (RESTCreateStrategy, RESTUpdateStrategy, RESTDeleteStrategy).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitlib.api.call import Call
from kitlib.api.shapes import shape_of
from kitlib.objects.meta import clone
from kitlib.store import Entry

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

Obj = dict[str, Any]
Causes = list[dict[str, str]]


class Strategy:
    """The default for every resource."""

    keeps_status_on_create = False
    returns_deleted = False  # DELETE answers the object instead of a Status
    finalizers_of_deletion: tuple[str, ...] = ()  # set by DELETE itself, for work that only then begins

    def __init__(self, api: ApiServer, storage: str) -> None:
        self.api, self.storage = api, storage
        self._empty_status: tuple[Any] | None = None  # what a status without anything in it looks like

    # -- creation and change.  `obj` is ours to change, `old` is not.

    def initial_status(self, call: Call, obj: Obj) -> None:
        """Set the status of a new object; what the client sent is gone already."""
        if self._empty_status is None:
            empty, _, _ = shape_of(call.kind).decode({})
            self._empty_status = (empty.get("status"),)
        if self._empty_status[0] is not None:
            obj["status"] = clone(self._empty_status[0])

    def prepare_create(self, call: Call, obj: Obj) -> None:
        """Set what the server decides in a new object."""

    def prepare_update(self, call: Call, obj: Obj, old: Obj) -> None:
        """Put back what a PUT of the whole object may not change silently."""

    def prepare_status(self, call: Call, obj: Obj, old: Obj) -> None:
        """The same for a PUT of the status; everything but status and metadata is `old`'s already."""

    def spec_changed(self, call: Call, obj: Obj, old: Obj) -> bool:
        """Whether metadata.generation moves."""
        apart = ("metadata", "status") if call.kind.has_status else ("metadata",)
        return ({key: value for key, value in obj.items() if key not in apart}
                != {key: value for key, value in old.items() if key not in apart})

    def validate_create(self, call: Call, obj: Obj) -> Causes:
        """Problems that only the server can see (an address out of its range)."""
        return []

    def validate_update(self, call: Call, obj: Obj, old: Obj) -> Causes:
        return []

    def allocate(self, call: Call, obj: Obj, old: Obj | None) -> None:
        """Give what is handed out only once (addresses, ports), after everything has been checked."""

    def release(self, call: Call, obj: Obj) -> None:
        """Take back what `allocate` gave to an object that was not stored after all."""

    # -- after the store has it

    def after_create(self, call: Call, entry: Entry) -> None:
        """React to a creation, in this process, before the answer goes out."""

    def after_update(self, call: Call, entry: Entry, old: Entry) -> None:
        """React to a change."""

    def after_delete(self, call: Call, entry: Entry) -> None:
        """React to the object being gone."""

    # -- deletion

    def check_delete(self, call: Call, obj: Obj) -> None:
        """Raise what forbids this deletion."""

    def grace(self, obj: Obj, wanted: int | None) -> int:
        """Seconds between the mark and the end, for kinds with `graceful`."""
        return wanted or 0

    def ends(self, obj: Obj) -> bool:
        """Whether an object without finalizers may go (a Namespace has some more in its spec)."""
        return True

    def mark(self, call: Call, obj: Obj) -> None:
        """Change the object that is being marked for deletion."""

    def after_mark(self, call: Call, entry: Entry) -> None:
        """React to an object having been marked."""


class ReturnsDeleted(Strategy):
    """Resources whose DELETE answers the object that has gone, for no reason but history."""

    returns_deleted = True
