"""The registry and clients without good intentions, or without patience: hostile names, bodies, and many at once."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_client import DATA, DIGEST, MANIFEST, NOWHERE, Client, begin, put, serving

from kitlib.images.registry.server import Registry

REPO = "conformance/hostile"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with serving(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def client(registry: Registry) -> Client:
    return Client(registry.address)


@pytest.mark.parametrize("name", ["UPPER", "a//b", "-a", "a/", "..", "a/../b", "a" * 256, "a b", "%2e%2e/x", "a%00"])
def test_names_that_are_none(client: Client, name: str) -> None:
    path = f"/v2/{name.replace(' ', '%20')}"
    for method, place in (("POST", "blobs/uploads/"), ("GET", "tags/list"), ("GET", f"blobs/{DIGEST}"),
                          ("PUT", "manifests/x")):
        status, code = client.error(method, f"{path}/{place}", b"{}")
        assert (status, code) in ((400, "NAME_INVALID"), (404, "UNSUPPORTED")), (method, place)


@pytest.mark.parametrize("body", [
    b"", b"null", b"[]", b"{}x", b"\xff\xfe", b"[" * 100_000, b'{"layers": {}}', b'{"layers": [1]}', b'{"config": "x"}',
    b'{"manifests": [{}]}', b'{"manifests": [null, {"digest": 7}]}', b'{"subject": []}', b'{"config": {"digest": []}}',
    b'{"mediaType": 3}', b'{"artifactType": {}}', b'{"manifests": [{"digest": "sha256:../../x"}]}'])
def test_manifests_that_are_none(client: Client, body: bytes) -> None:
    status, code = client.error("PUT", "/v2/conformance/hostile/manifests/x", body, Content_Type=MANIFEST)
    assert (status, code) == (400, "MANIFEST_INVALID")


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(
    inner, max_size=3) | st.dictionaries(st.sampled_from(["config", "layers", "manifests", "subject", "digest", "size",
                                                          "mediaType", "annotations", "urls"]), inner, max_size=4))


@settings(max_examples=60, deadline=None)
@given(document=JSON)
def test_any_json_as_a_manifest_gets_an_answer(registry: Registry, document: Any) -> None:
    status, _, body = Client(registry.address)("PUT", "/v2/conformance/fuzz/manifests/x", json.dumps(document).encode())
    assert status in (201, 400, 404)
    assert status == 201 or json.loads(body)["errors"][0]["message"]
    status, _, _ = Client(registry.address)("GET", f"/v2/conformance/fuzz/referrers/{NOWHERE}")
    assert status == 200


@pytest.mark.parametrize("head", ["Content-Length: x", "Content-Length: -1", "Transfer-Encoding: chunked"])
def test_a_body_that_cannot_be_read_ends_the_connection_with_400(registry: Registry, head: str) -> None:
    host, _, port = registry.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"PUT /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\nzz\r\nGET /v2/ HTTP/1.1\r\n\r\n"
                           .encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_body_that_nobody_wanted_is_not_the_next_request(client: Client) -> None:
    client.blob(REPO, DATA)
    for method, path in (("GET", "/v2/"), ("DELETE", f"/v2/{REPO}/blobs/{DIGEST}"), ("GET", "/v2/none/tags/list")):
        client(method, path, b"GET /evil HTTP/1.1\r\n\r\n")
        assert client("GET", "/v2/")[0] == 200


def test_many_push_the_same_at_once(registry: Registry) -> None:
    gate = threading.Barrier(6)

    def one(number: int) -> str:
        mine = Client(registry.address)
        gate.wait(10)
        mine.blob(REPO, DATA)
        return put(mine, REPO, f"t{number % 2}", annotations={"n": str(number % 3)})

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(one, range(6)))
    assert len(set(found)) == 3
    mine = Client(registry.address)
    assert all(mine("GET", f"/v2/{REPO}/manifests/{digest}")[0] == 200 for digest in found)


def test_one_upload_takes_one_chunk_at_a_time(registry: Registry, client: Client) -> None:
    place = begin(client, REPO)
    with ThreadPoolExecutor(4) as pool:
        found = sorted(pool.map(lambda _: Client(registry.address)("PATCH", place, DATA, Content_Range="0-2999")[0],
                                range(4)))
    assert found == [202, 416, 416, 416]
    assert client("PUT", f"{place}?digest={DIGEST}")[0] == 201


def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        digest = put(Client(server.address), "kept", "v1")
    with serving(tmp_path) as server:
        assert Client(server.address)("HEAD", "/v2/kept/manifests/v1")[1]["docker-content-digest"] == digest
