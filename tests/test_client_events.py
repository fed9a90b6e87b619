"""Events are counted, combined and limited before they reach the API."""

from __future__ import annotations

from typing import Any

from client_fakes import FakeApi

from kitlib.client import EventRecorder

RS = {"kind": "ReplicaSet", "apiVersion": "apps/v1",
      "metadata": {"name": "web", "namespace": "default", "uid": "u1", "resourceVersion": "7"}}


def recorder(api: FakeApi) -> EventRecorder:
    return EventRecorder(api.client(), "replicaset-controller", api.clock)


def events(api: FakeApi) -> list[dict[str, Any]]:
    return [entry.obj for entry in api.store.list("events")]


def test_an_event_says_about_what_why_and_who():
    api = FakeApi()
    recorder(api).emit(RS, "SuccessfulCreate", "Created pod: web-1")
    (event,) = events(api)
    assert event["involvedObject"] == {"kind": "ReplicaSet", "namespace": "default", "name": "web", "uid": "u1",
                                       "apiVersion": "apps/v1", "resourceVersion": "7"}
    assert event["source"] == {"component": "replicaset-controller"}
    assert (event["reason"], event["type"], event["count"]) == ("SuccessfulCreate", "Normal", 1)
    assert event["metadata"]["name"].startswith("web.")


def test_the_same_event_again_raises_its_count():
    api = FakeApi()
    speaker = recorder(api)
    for _ in range(3):
        api.clock.advance(1)
        speaker.emit(RS, "FailedCreate", "quota", "Warning")
    (event,) = events(api)
    assert event["count"] == 3
    assert event["firstTimestamp"] != event["lastTimestamp"]


def test_the_tenth_similar_event_is_combined():
    api = FakeApi()
    speaker = recorder(api)
    for number in range(15):
        speaker.emit(RS, "SuccessfulCreate", f"Created pod: web-{number}")
    messages = [event["message"] for event in events(api)]
    assert len(messages) == 10
    combined = next(event for event in events(api) if event["message"].startswith("(combined from similar events): "))
    assert (combined["count"], combined["message"]) == (6, "(combined from similar events): Created pod: web-14")


def test_after_25_at_once_about_one_object_it_is_silent_for_a_while():
    api = FakeApi()
    speaker = recorder(api)
    for number in range(100):
        speaker.emit(RS, "SuccessfulCreate", f"Created pod: web-{number}")
    assert sum(event["count"] for event in events(api)) == 25
    api.clock.advance(301)
    speaker.emit(RS, "SuccessfulCreate", "Created pod: web-100")
    assert sum(event["count"] for event in events(api)) == 26


def test_a_forgotten_event_is_made_anew():
    api = FakeApi()
    speaker = recorder(api)
    speaker.emit(RS, "FailedCreate", "quota")
    api.client().delete("events", "default", events(api)[0]["metadata"]["name"])
    speaker.emit(RS, "FailedCreate", "quota")
    assert [event["count"] for event in events(api)] == [1]


def test_the_schedulers_events_have_the_newer_form():
    api = FakeApi()
    EventRecorder(api.client(), "default-scheduler", api.clock).emit(RS, "Scheduled", "ok", action="Binding")
    (event,) = events(api)
    assert (event["reportingComponent"], event["action"]) == ("default-scheduler", "Binding")
    assert event["firstTimestamp"] is None
    assert event["eventTime"].endswith("Z")
