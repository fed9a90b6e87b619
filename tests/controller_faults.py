"""A bad network and a mortal process, by seed: what a control loop must survive.

    requests    some are refused (409, 500); with `lose`, of some only the answer is lost
    watches     events come late, some twice; streams end; with `lose`, some never come
    processes   the whole manager dies, perhaps between two writes of one turn, and a new one starts from nothing
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from kitlib.client.local import LocalTransport
from kitlib.client.transport import Query, WatchSource
from kitlib.objects.errors import StatusError


class Killed(BaseException):
    """The process dies here.  Not an Exception: nothing in the loop may catch it."""


class FaultyTransport:
    def __init__(self, inner: LocalTransport, dice: random.Random, *, lose: float = 0.0) -> None:
        self.inner, self.dice, self.lose = inner, dice, lose
        self.calm = False

    def request(self, method: str, path: str, *, query: Query | None = None,
                headers: Mapping[str, str] | None = None, obj: Any = None) -> Any:
        writes = method != "GET" and not self.calm
        if writes and self.dice.random() < 0.05:
            raise StatusError(self.dice.choice([409, 500, 503]), "Conflict", "injected: refused")
        answer = self.inner.request(method, path, query=query, headers=headers, obj=obj)
        if writes and self.lose and self.dice.random() < 0.02:
            raise StatusError(504, "Timeout", "injected: the answer was lost")
        if writes and self.dice.random() < 0.01:
            raise Killed
        return answer

    def watch(self, path: str, query: Query, headers: Mapping[str, str] | None = None) -> FaultyWatch:
        return FaultyWatch(self.inner.watch(path, query, headers), self)


class FaultyWatch:
    def __init__(self, inner: WatchSource, owner: FaultyTransport) -> None:
        self._inner, self._owner = inner, owner
        self._late: list[dict[str, Any]] = []
        self._callback: Callable[[], None] = lambda: None
        self._ended = False

    @property
    def closed(self) -> bool:
        return self._ended or (self._inner.closed and not self._late)

    def poll(self) -> list[dict[str, Any]]:
        dice, calm = self._owner.dice, self._owner.calm
        arrived = self._inner.poll()
        if not calm:
            arrived = [event for event in arrived if dice.random() >= self._owner.lose]
        self._late += arrived
        if calm:
            events, self._late = self._late, []
            return events
        count = dice.randint(0, len(self._late))
        events, self._late = self._late[:count], self._late[count:]
        if events and dice.random() < 0.1:
            events.append(events[-1])
        if self._late:
            self._callback()   # there is more to come
        if dice.random() < 0.01:
            self._ended = True   # what is late is sent again: the watch is opened where the client stands
        return events

    def on_ready(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._inner.on_ready(callback)

    def close(self) -> None:
        self._inner.close()
