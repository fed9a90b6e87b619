"""A registry for tests, and a client that shows its HTTP as it is."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kitlib.images.registry.server import Registry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@contextlib.contextmanager
def serving(root: Path) -> Iterator[Registry]:
    server = Registry(root)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Client:
    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=30)

    def __call__(self, method: str, path: str, body: bytes | Iterator[bytes] = b"", **headers: str
                 ) -> tuple[int, dict[str, str], bytes]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        """An iterator as the body is sent in chunks, without a length."""
        self._connection.request(method, path, body, names)
        answer = self._connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

    def error(self, method: str, path: str, body: bytes | Iterator[bytes] = b"", **headers: str
              ) -> tuple[int, str]:
        status, _, data = self(method, path, body, **headers)
        return status, json.loads(data)["errors"][0]["code"]

    def blob(self, name: str, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert self("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", data)[0] == 201
        return digest

    def manifest(self, name: str, tag: str, **more: Any) -> str:
        config = self.blob(name, b"{}")
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2}, **more}
        status, headers, _ = self("PUT", f"/v2/{name}/manifests/{tag}", json.dumps(document).encode(),
                                  Content_Type=MANIFEST)
        assert status == 201
        return headers["docker-content-digest"]


NOWHERE = "sha256:" + "0" * 64
EMPTY = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2}
DATA = random.Random(1).randbytes(3000)
DIGEST = digest_of(DATA)


def put(client: Client, repo: str, reference: str, media_type: str = MANIFEST, **document: Any) -> str:
    """Push a manifest; its digest."""
    client.blob(repo, b"{}")
    body = {"schemaVersion": 2, "mediaType": media_type, **document}
    if media_type == MANIFEST:
        body = {"config": EMPTY, "layers": [EMPTY], **body}
    status, headers, answer = client("PUT", f"/v2/{repo}/manifests/{reference or digest_of(json.dumps(body).encode())}",
                                     json.dumps(body).encode(), Content_Type=media_type)
    assert status == 201, answer
    return headers["docker-content-digest"]


def begin(client: Client, repo: str) -> str:
    status, headers, _ = client("POST", f"/v2/{repo}/blobs/uploads/")
    assert status == 202
    return headers["location"]
