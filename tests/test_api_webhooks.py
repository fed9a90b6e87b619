"""Admission webhooks: asked before anything is written, by whoever has sockets."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from api_world import ADMIN, CONFIGMAPS, World, config_map, read
from edge_fakes import make_certificates

from kitlib.api.edge import callouts
from kitlib.api.request import Callout, Outcome, Request

ROOT = "/apis/admissionregistration.k8s.io/v1"


@pytest.fixture
def world() -> World:
    return World()


def install(world: World, kind: str, *, failure: str = "Fail", operations: tuple[str, ...] = ("CREATE",),
            ca: bytes = b"", url: str = "https://hook.example/check") -> None:
    made = world.post(f"{ROOT}/{kind.lower()}webhookconfigurations", {"metadata": {"name": kind.lower()}, "webhooks": [{
        "name": "check.hook.example", "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "clientConfig": {"url": url, "caBundle": base64.b64encode(ca).decode()}, "failurePolicy": failure,
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
                   "operations": list(operations)}]}]})
    assert made.code == 201, read(made)


def settle(world: World, ask: Any, respond: Any) -> Any:
    """Send a request as the edge does: make each callout, then send it again."""
    answer = ask()
    for _ in range(5):
        if not isinstance(answer, Callout):
            return answer
        outcome = respond(json.loads(answer.body)["request"])
        answer.deliver(outcome if isinstance(outcome, Outcome) else Outcome({"response": outcome}))
        answer = world.again()
    raise AssertionError("it never ends")


def test_nothing_is_written_before_the_webhook_has_answered(world):
    install(world, "Validating")
    before = world.store.revision
    answer = world.post(CONFIGMAPS, config_map("a"))
    assert isinstance(answer, Callout)
    review = json.loads(answer.body)
    assert (review["kind"], review["request"]["operation"], review["request"]["object"]["data"]) == (
        "AdmissionReview", "CREATE", {"k": "v"})
    assert world.store.revision == before


def test_a_validating_webhook_refuses(world):
    install(world, "Validating")
    refused = settle(world, lambda: world.post(CONFIGMAPS, config_map("a")),
                     lambda request: {"allowed": False, "status": {"code": 403, "message": "not today"}})
    assert (refused.code, "not today" in read(refused)["message"]) == (403, True)
    assert settle(world, lambda: world.post(CONFIGMAPS, config_map("b")), lambda request: {"allowed": True}).code == 201


def test_a_mutating_webhook_changes_the_object(world):
    install(world, "Mutating")
    patch = base64.b64encode(json.dumps([{"op": "add", "path": "/data/added", "value": "x"}]).encode()).decode()
    made = settle(world, lambda: world.post(CONFIGMAPS, config_map("a")),
                  lambda request: {"allowed": True, "patchType": "JSONPatch", "patch": patch, "warnings": ["careful"]})
    assert read(made)["data"] == {"k": "v", "added": "x"}
    assert made.warnings == ("careful",)


def test_each_request_is_asked_about_anew(world):
    install(world, "Validating", operations=("DELETE",))
    asked = []

    def respond(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request["name"])
        return {"allowed": True}

    for _ in range(2):
        world.post(CONFIGMAPS, config_map("a"))
        assert settle(world, lambda: world.delete(f"{CONFIGMAPS}/a"), respond).code == 200
    assert asked == ["a", "a"]


@pytest.mark.parametrize(("failure", "code"), [("Fail", 500), ("Ignore", 201)])
def test_a_webhook_that_fails_follows_its_failure_policy(world, failure, code):
    install(world, "Validating", failure=failure)
    answer = settle(world, lambda: world.post(CONFIGMAPS, config_map("a")), lambda request: Outcome(error="refused"))
    assert answer.code == code


def test_a_caller_in_this_process_is_told_to_come_again(world):
    install(world, "Validating")
    started: list[Callout] = []
    world.api.callouts.start = started.append

    def create() -> Any:
        return world.api.handle(Request("POST", CONFIGMAPS, obj=config_map("a"), user=ADMIN))

    assert [create().code, create().code, len(started)] == [503, 503, 1]
    started[0].deliver(Outcome({"response": {"allowed": True}}))
    assert create().code == 201


def test_the_call_itself_is_an_https_post(world, tmp_path: Path):
    make_certificates(tmp_path)
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length")).split(b":")[1])
        seen.append(await reader.readexactly(length))
        body = json.dumps({"response": {"allowed": True}}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async def scenario() -> Outcome:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        install(world, "Validating", url=f"https://127.0.0.1:{port}/x", ca=(tmp_path / "ca.crt").read_bytes())
        callout = world.post(CONFIGMAPS, config_map("a"))
        await callouts.run(callout)
        server.close()
        return callout

    asyncio.run(scenario())
    assert json.loads(seen[0])["request"]["name"] == "a"
    assert world.again().code == 201


def test_a_webhook_that_is_not_there_is_a_failure_with_a_reason(world):
    install(world, "Validating", url="https://127.0.0.1:1/x")
    callout = world.post(CONFIGMAPS, config_map("a"))
    asyncio.run(callouts.run(callout))
    answer = world.again()
    assert (answer.code, "check.hook.example" in read(answer)["message"]) == (500, True)


def test_a_validating_webhook_sees_the_name_and_uid_that_are_stored(world):
    install(world, "Validating")
    seen: list[tuple[str, str, str]] = []

    def respond(request: dict[str, Any]) -> dict[str, Any]:
        meta = request["object"]["metadata"]
        seen.append((request["name"], meta["name"], meta["uid"]))
        return {"allowed": True}

    generated = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "a-"}}
    made = read(settle(world, lambda: world.post(CONFIGMAPS, generated), respond))["metadata"]
    assert seen == [(made["name"], made["name"], made["uid"])]


def test_two_requests_with_the_same_body_are_two_questions(world):
    install(world, "Validating")
    generated = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "a-"}}
    first = world.post(CONFIGMAPS, generated)
    first_request = world.last
    second = world.post(CONFIGMAPS, generated)
    assert first.key != second.key
    second.deliver(Outcome({"response": {"allowed": True}}))
    assert isinstance(world.api.handle(first_request), Callout)
    assert world.again().code == 201


def test_a_generated_name_that_is_taken_meanwhile_is_asked_about_anew(world):
    install(world, "Validating")
    asked = world.post(CONFIGMAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "a-"}})
    name = json.loads(asked.body)["request"]["name"]
    asked.deliver(Outcome({"response": {"allowed": True}}))
    request, _ = world.last, world.delete(f"{ROOT}/validatingwebhookconfigurations/validating")
    world.post(CONFIGMAPS, config_map(name))
    install(world, "Validating")
    again = world.api.handle(request)
    assert json.loads(again.body)["request"]["name"] != name


def test_a_caller_in_this_process_gets_the_object_that_the_webhook_saw(world):
    install(world, "Validating")
    started: list[Callout] = []
    world.api.callouts.start = started.append

    def create() -> Any:
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "a-"}}
        return world.api.handle(Request("POST", CONFIGMAPS, obj=obj, user=ADMIN))

    assert create().code == 503
    started[0].deliver(Outcome({"response": {"allowed": True}}))
    made = create()
    shown = json.loads(started[0].body)["request"]["object"]["metadata"]
    assert (made.code, made.obj["metadata"]["uid"], made.obj["metadata"]["name"]) == (201, shown["uid"], shown["name"])
