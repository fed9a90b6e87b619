"""EventRecorder: Events that help instead of flooding.

An Event is an object like any other, so a controller that fails a thousand times a minute could fill the store
with its complaints.  client-go puts three measures between the recorder and the API; they are here in order:

1. spam filter: per source and object at most 25 Events at once, then one every five minutes;
2. aggregation: the tenth Event within ten minutes that differs from its siblings only in the message becomes
   "(combined from similar events): …";
3. counting: the same Event again is not a new object but a PATCH that raises `count`.

Source: k8s.io/client-go/tools/record (event.go, events_cache.go), tools/events for the scheduler's newer form.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from kitlib.client.client import Client
from kitlib.objects.clock import Clock, rfc3339, rfc3339_micro
from kitlib.objects.errors import StatusError

Object = dict[str, Any]

SPAM_BURST, SPAM_REFILL = 25, 300.0
SIMILAR_MOST, SIMILAR_WINDOW = 10, 600.0
REMEMBERED = 4096


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


@dataclass(slots=True)
class _Similar:
    at: float
    messages: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Known:
    namespace: str
    name: str
    count: int


class EventRecorder:
    """Records in the name of one component: `replicaset-controller`, `default-scheduler`, `kubelet`."""

    def __init__(self, client: Client, component: str, clock: Clock, host: str = "") -> None:
        self._client, self._component, self._clock, self._host = client, component, clock, host
        self._serial = itertools.count(crc32(component.encode()))   # names differ within one tick of the clock
        self._buckets: OrderedDict[tuple, _Bucket] = OrderedDict()
        self._similar: OrderedDict[tuple, _Similar] = OrderedDict()
        self._known: OrderedDict[tuple, _Known] = OrderedDict()

    def emit(self, about: Object, reason: str, message: str, type: str = "Normal", *, field_path: str = "",
             action: str = "") -> None:
        """action: what was being done ("Binding"); with it the Event has the form of events.k8s.io."""
        subject = _reference(about, field_path)
        if not self._may_speak(subject):
            return
        message, similar = self._combine(subject, type, reason, message)
        key = (*_identity(subject), type, reason, action, "" if similar else message)
        known = self._known.get(key)
        if known is not None and self._count_up(known, message):
            self._known.move_to_end(key)
            return
        event = {"reason": reason, "message": message, "type": type}
        self._create(key, subject, event | ({"action": action} if action else {}))

    def _may_speak(self, subject: Object) -> bool:
        now = self._clock.monotonic()
        bucket = _remember(self._buckets, (subject["kind"], subject["namespace"], subject["name"], subject["uid"]),
                           _Bucket(SPAM_BURST, now))
        bucket.tokens = min(SPAM_BURST, bucket.tokens + (now - bucket.at) / SPAM_REFILL)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _combine(self, subject: Object, type: str, reason: str, message: str) -> tuple[str, bool]:
        now = self._clock.monotonic()
        similar = _remember(self._similar, (*_identity(subject), type, reason), _Similar(now))
        if now - similar.at > SIMILAR_WINDOW:
            similar.messages.clear()
        similar.at = now
        similar.messages.add(message)
        if len(similar.messages) < SIMILAR_MOST:
            return message, False
        similar.messages.pop()
        return f"(combined from similar events): {message}", True

    def _count_up(self, known: _Known, message: str) -> bool:
        patch = {"count": known.count + 1, "lastTimestamp": rfc3339(self._clock.now()), "message": message}
        try:
            self._client.patch("events", known.namespace, known.name, patch, kind="strategic")
        except StatusError as error:
            if error.code == 404:   # its hour is over: it was garbage collected; start a new one
                return False
            raise
        known.count += 1
        return True

    def _create(self, key: tuple, subject: Object, what: Object) -> None:
        now = self._clock.now()
        namespace = subject["namespace"] or "default"
        event: Object = {
            "kind": "Event", "apiVersion": "v1",
            "metadata": {"name": f"{subject['name']}.{int(now * 1e9) + next(self._serial):x}", "namespace": namespace},
            "involvedObject": {name: value for name, value in subject.items() if value},
            **what, **(self._modern(now) if "action" in what else self._classic(now)),
        }
        try:
            self._client.create("events", namespace, event)
        except StatusError:
            return   # an Event is a courtesy: a refusal (namespace going away, quota) must not stop the work
        if "action" not in what:
            _remember(self._known, key, _Known(namespace, event["metadata"]["name"], 1))

    def _classic(self, now: float) -> Object:
        source = {"component": self._component} | ({"host": self._host} if self._host else {})
        return {"source": source, "firstTimestamp": rfc3339(now), "lastTimestamp": rfc3339(now), "count": 1,
                "eventTime": None, "reportingComponent": self._component, "reportingInstance": self._host}

    def _modern(self, now: float) -> Object:
        instance = f"{self._component}-{self._host}" if self._host else self._component
        return {"source": {}, "firstTimestamp": None, "lastTimestamp": None, "eventTime": rfc3339_micro(now),
                "reportingComponent": self._component, "reportingInstance": instance}


def _reference(about: Object, field_path: str) -> Object:
    meta = about["metadata"]
    return {"kind": about.get("kind", ""), "namespace": meta.get("namespace", ""), "name": meta["name"],
            "uid": meta.get("uid", ""), "apiVersion": about.get("apiVersion", ""),
            "resourceVersion": meta.get("resourceVersion", ""), "fieldPath": field_path}


def _identity(subject: Object) -> tuple:
    return tuple(subject[name] for name in ("kind", "namespace", "name", "uid", "fieldPath"))


def _remember(memory: OrderedDict, key: tuple, fresh: Any) -> Any:
    """The value of the key, put in if new; the memory never holds more than REMEMBERED keys."""
    value = memory.setdefault(key, fresh)
    memory.move_to_end(key)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
    return value
