"""What the store keeps and what it tells: entries and events.

An `Entry` is one object at one revision.  It is kept twice: as the decoded object that the rest of
the process shares (and never changes), and as the JSON bytes that go out to clients, so a list is a
join of bytes and no object is encoded twice.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson


class Key(NamedTuple):
    """Where an object lives.  resource: "pods" or "replicasets.apps"; namespace "" for the cluster's own."""

    resource: str
    namespace: str
    name: str


class Entry:
    """One object at one revision.

    data: its JSON, resourceVersion included.  revision: when it was written.  created: when it first was.
    """

    __slots__ = ("_obj", "created", "data", "key", "revision")

    def __init__(self, key: Key, obj: dict[str, Any] | None, data: bytes, revision: int, created: int) -> None:
        self.key, self._obj, self.data, self.revision, self.created = key, obj, data, revision, created

    @property
    def obj(self) -> dict[str, Any]:
        """The decoded object, shared by everybody: never change it."""
        if self._obj is None:
            self._obj = orjson.loads(self.data)
        return self._obj

    def cool(self) -> None:
        """Forget the decoded form.  History is bytes; who still needs an old object pays for decoding it."""
        self._obj = None

    def __repr__(self) -> str:
        return f"<{self.key.resource} {self.key.namespace}/{self.key.name} @{self.revision}>"


class Event:
    """One change.  type: ADDED, MODIFIED or DELETED.

    entry: the object after the change; for DELETED its last state, carrying the deletion's revision.
    previous: the object before it (None for ADDED).  lines: room for the API to keep the encoded
    watch line, so that a thousand watchers cost one encoding.
    """

    __slots__ = ("entry", "lines", "previous", "revision", "type")

    def __init__(self, type: str, entry: Entry, previous: Entry | None) -> None:
        self.type, self.entry, self.previous, self.revision = type, entry, previous, entry.revision
        self.lines: dict[Any, Any] | None = None

    def __repr__(self) -> str:
        return f"<{self.type} {self.entry!r}>"


class KeyExists(Exception):
    """A create found the key taken.  `entry` is who has it."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(f"{entry!r} exists")
        self.entry = entry


class KeyMissing(Exception):
    """An update or delete found nothing under the key."""


class RevisionConflict(Exception):
    """A compare-and-swap lost: the object is at `entry.revision`, not where the writer believed."""

    def __init__(self, entry: Entry, expected: int) -> None:
        super().__init__(f"{entry!r} is not at {expected}")
        self.entry = entry


class Compacted(Exception):
    """The revision asked for is older than the history that is kept (a watch then answers 410 Expired)."""

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {asked} ({oldest})")
        self.asked, self.oldest = asked, oldest


class StoreFull(Exception):
    """The log cannot be written (a full disk, as a rule); nothing is accepted until it can again."""
