"""WATCH: every change of a selection of objects, as a stream of events.

What the client sees of one change depends on its selection, before and after:

                        matches now      does not
    matched before      MODIFIED         DELETED (the object as it last matched)
    did not             ADDED            nothing

WatchList (`sendInitialEvents=true`) begins with the current state as ADDED events and a BOOKMARK that
says "that was all"; so one request replaces list-then-watch.  Later bookmarks only move the client's
resourceVersion forward, so that it can resume after a long silence without a 410.

Encoding is done once for all watchers of the same form: the line is kept on the store's event.

Where a webhook converts (see `api/conversion.py`), events wait, in order, until it has answered.

Source: k8s.io/apiserver/pkg/endpoints/handlers/watch.go, pkg/storage/cacher/cacher.go; KEP-3157 (WatchList).
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson

from kitlib.api import respond
from kitlib.api.call import Call, parse_int
from kitlib.api.conversion import Conversion
from kitlib.api.negotiate import PLAIN, Form
from kitlib.api.selection import Selection, selection
from kitlib.api.versions import check_list_options, flag, parse, too_large
from kitlib.objects.errors import StatusError
from kitlib.objects.meta import with_metadata
from kitlib.store import Compacted, Entry, Event, Watch

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
BOOKMARK_SECONDS = 60.0
TIMEOUT_SECONDS = 1800.0  # without timeoutSeconds the server ends a watch after this to twice this


def watch(call: Call) -> WatchStream:
    check_list_options(call, watching=True)
    selected, param, store = selection(call), call.request.param, call.api.store
    form = respond.wanted(call.request, collection=True, streaming=True)
    if form.as_ == "Table":
        respond.check_include(call.request)
    timeout = parse_int(param("timeoutSeconds") or "0", "timeoutSeconds")
    version = param("resourceVersion")
    after = parse(version or "0")
    if after is None:
        raise StatusError(500, None, f'Invalid value: "{version}": strconv.ParseUint: invalid syntax')
    initial = param("sendInitialEvents")
    from_state = flag(call, "sendInitialEvents") if initial else version in ("", "0")
    namespace = call.info.namespace if call.kind.namespaced else None
    too_large(store, after)
    state = store.list(call.kind.storage, namespace or None) if from_state else []
    respond.prepare(call.kind, state)
    expired = None
    try:
        source = store.watch(call.kind.storage, namespace or None, after if after and not from_state else None)
    except Compacted as error:
        expired, source = error, store.watch(call.kind.storage, namespace or None)
    stream = WatchStream(call, source, selected, form, state, timeout)
    if expired:
        stream.fail(StatusError(410, "Expired", str(expired)))
    elif from_state and initial and flag(call, "allowWatchBookmarks"):
        stream.bookmark_after_state = True
    return stream


class WatchStream:
    """One watch.  `poll` gives encoded lines (for the edge), `poll_events` objects (for this process)."""

    def __init__(self, call: Call, source: Watch, selected: Selection, form: Form, state: list[Entry],
                 timeout: int) -> None:
        self.call, self.kind, self.form = call, call.kind, form
        self.content_type = "application/json"
        self.closed = False
        self.bookmark_after_state = False
        self._source, self._selected, self._state = source, selected, state
        self._error: StatusError | None = None
        self._conversion: Conversion | None = self.kind.custom.conversion if self.kind.custom is not None else None
        self._unconverted: deque[Event] = deque()
        self._converting = False
        self._clock = call.api.clock
        self._revision = call.api.store.revision
        seconds = timeout if timeout > 0 else TIMEOUT_SECONDS * random.uniform(1, 2)
        self._deadline = self._clock.monotonic() + seconds
        self._bookmarks = flag(call, "allowWatchBookmarks")
        self._next_bookmark = self._clock.monotonic() + BOOKMARK_SECONDS * random.uniform(0.8, 1.2)
        self._callback: Callable[[], None] | None = None
        self._columns_sent = False
        # Which encoded form of an event this watch shares with others.
        self._cache_key = f"{self.kind.api_version} {form.as_} {form.version} {call.request.param('includeObject')}"

    def fail(self, error: StatusError) -> None:
        """Make the stream one ERROR event long."""
        self._error = error

    def on_ready(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        if self._state or self._error or self.bookmark_after_state:
            callback()
        self._source.on_ready(callback)

    def close(self) -> None:
        self.closed = True
        self._source.close()

    # -- what has happened

    def poll_events(self) -> list[tuple[str, dict[str, Any]]]:
        """(type, object) of what is new, decoded and shared: never change the objects."""
        found: list[tuple[str, dict[str, Any]]] = []
        for type_, entry, event in self._next():
            if entry is not None:
                found.append((type_, self._shown(type_, entry, event)))
            elif type_ == "ERROR":
                assert self._error is not None
                found.append((type_, self._error.status))
            else:
                found.append((type_, self._bookmark(type_ == "END")))
        return [("BOOKMARK" if type_ == "END" else type_, obj) for type_, obj in found]

    def poll(self) -> list[tuple[int, bytes]]:
        """(revision, line) of what is new."""
        lines = []
        for type_, entry, event in self._next():
            if entry is not None:
                lines.append((event.revision if event else entry.revision, self._line(type_, entry, event)))
            elif type_ == "ERROR":
                assert self._error is not None
                lines.append((0, orjson.dumps({"type": "ERROR", "object": self._error.status}) + b"\n"))
            else:
                obj = self._transformed(self._bookmark(type_ == "END"))
                lines.append((self._revision, orjson.dumps({"type": "BOOKMARK", "object": obj}) + b"\n"))
        return lines

    def _next(self) -> list[tuple[str, Entry | None, Event | None]]:
        """The steps of this poll: (type, entry, the store's event); "END" is the bookmark after the state."""
        if self.closed:
            return []
        steps: list[tuple[str, Entry | None, Event | None]] = []
        if self._error is not None:
            self.close()
            return [("ERROR", None, None)]
        if self._state:
            everything, kind, matches = self._selected.empty, self.kind, self._selected.matches
            steps = [("ADDED", entry, None) for entry in self._state
                     if everything or matches(respond.view(kind, entry))]
            self._state = []
        if self.bookmark_after_state:
            self.bookmark_after_state = False
            steps.append(("END", None, None))
        for event in self._source.poll() if self._conversion is None else self._converted(self._conversion):
            type_ = event.type if self._selected.empty else self._transition(event)
            if type_:
                steps.append((type_, event.entry, event))
            self._revision = event.revision
        now = self._clock.monotonic()
        if self._bookmarks and now >= self._next_bookmark and not self._unconverted:
            self._next_bookmark = now + BOOKMARK_SECONDS * random.uniform(0.8, 1.2)
            self._revision = self.call.api.store.revision
            steps.append(("BOOKMARK", None, None))
        if now >= self._deadline or self._source.closed:
            self.close()
        return steps

    def _converted(self, conversion: Conversion) -> list[Event]:
        """The events that can be shown by now; the webhook is asked for the others."""
        ready, waiting, version = [], self._unconverted, self.kind.api_version
        waiting += self._source.poll()
        while waiting and not conversion.lacks(self._forms(waiting[0]), version):
            ready.append(waiting.popleft())
        if waiting and not self._converting:
            self._converting = True
            conversion.fetch([form for event in waiting for form in self._forms(event)], version,
                             self._webhook_answered)
        return ready

    def _forms(self, event: Event) -> list[dict[str, Any]]:
        """The objects that showing an event takes: a selection also looks at what was before."""
        both = event.previous is not None and not self._selected.empty
        return [event.entry.obj, event.previous.obj] if both and event.previous else [event.entry.obj]

    def _webhook_answered(self, failure: StatusError | None) -> None:
        self._converting = False
        if failure is not None:
            self._error = failure
        if self._callback is not None and not self.closed:
            self._callback()

    def _transition(self, event: Event) -> str:
        """What a change means to this selection, "" for nothing."""
        matches, kind = self._selected.matches, self.kind
        before = event.previous is not None and matches(respond.view(kind, event.previous))
        now = event.type != "DELETED" and matches(respond.view(kind, event.entry))
        if now:
            return "MODIFIED" if before else "ADDED"
        return "DELETED" if before else ""

    # -- how it is told

    def _shown(self, type_: str, entry: Entry, event: Event | None) -> dict[str, Any]:
        """The object of an event.  One that left the selection is shown as it was, at the event's revision."""
        if type_ == "DELETED" and event is not None and event.type != "DELETED":
            assert event.previous is not None
            return with_metadata(respond.view(self.kind, event.previous), resourceVersion=str(event.revision))
        return respond.view(self.kind, entry)

    def _line(self, type_: str, entry: Entry, event: Event | None) -> bytes:
        first_table = self.form.as_ == "Table" and not self._columns_sent
        if event is None or first_table:
            return self._encode(type_, entry, event)
        if event.lines is None:
            event.lines = {}
        key = (self._cache_key, type_)
        line: bytes | None = event.lines.get(key)
        if line is None:
            line = event.lines[key] = self._encode(type_, entry, event)
        return line

    def _encode(self, type_: str, entry: Entry, event: Event | None) -> bytes:
        left = event is not None and type_ == "DELETED" and event.type != "DELETED"
        if self.form is PLAIN and self.kind.direct and not left:
            return b'{"type":"%s","object":%s}\n' % (type_.encode(), entry.data)
        obj = self._transformed(self._shown(type_, entry, event))
        return orjson.dumps({"type": type_, "object": obj}) + b"\n"

    def _transformed(self, obj: dict[str, Any]) -> dict[str, Any]:
        if self.form.as_ == "Table":
            table = respond.table(self.call, self.form, [obj], obj["metadata"])
            if self._columns_sent:
                table["columnDefinitions"] = None  # only the first event names the columns
            self._columns_sent = True
            return table
        return respond.partial(obj, self.form) if self.form.partial else obj

    def _bookmark(self, end: bool) -> dict[str, Any]:
        meta: dict[str, Any] = {"resourceVersion": str(self._revision)}
        if end:
            meta["annotations"] = {INITIAL_EVENTS_END: "true"}
        return {"kind": self.kind.kind, "apiVersion": self.kind.api_version, "metadata": meta}
