"""An API server for tests: in memory, with a clock that moves when told to, asked like over HTTP.

`World.get`, `post`… send what a client would send (bytes and headers) and return the `Response`;
`watch` returns the events so far as decoded JSON.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from kitlib.api.config import ApiConfig
from kitlib.api.request import Request, Response, User
from kitlib.api.server import ApiServer
from kitlib.objects.clock import FakeClock
from kitlib.store import Store

ADMIN = User("admin", ("system:masters", "system:authenticated"))
TOKEN = "admin-token"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
SECRETS = "/api/v1/namespaces/default/secrets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC_PATCH, APPLY_PATCH = "application/strategic-merge-patch+json", "application/apply-patch+yaml"


class World:
    """One API server and a client that is allowed everything."""

    def __init__(self, store: Store | None = None) -> None:
        self.clock = FakeClock()
        self.store = store or Store(None)
        self.api = ApiServer(self.store, ApiConfig(tokens={TOKEN: ADMIN}), self.clock)
        if self.store.get("serviceaccounts", "default", "default") is None:
            self.post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})

    def send(self, method: str, path: str, body: Any = None, *, token: str | None = TOKEN,
             headers: dict[str, str] | None = None, **query: str) -> Any:
        sent = {"user-agent": "test/1.0", **({"authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        self.last = Request(method, path, {k: [v] for k, v in query.items()}, sent, data)
        return self.api.handle(self.last)

    def again(self) -> Any:
        """Send the last request once more, as the edge does when a webhook has answered."""
        return self.api.handle(self.last)

    def get(self, path: str, **how: Any) -> Response:
        return self.send("GET", path, **how)

    def post(self, path: str, body: Any, **how: Any) -> Response:
        return self.send("POST", path, body, **how)

    def put(self, path: str, body: Any, **how: Any) -> Response:
        return self.send("PUT", path, body, **how)

    def delete(self, path: str, body: Any = None, **how: Any) -> Response:
        return self.send("DELETE", path, body, **how)

    def patch(self, path: str, body: Any, kind: str = MERGE_PATCH, **how: Any) -> Response:
        return self.send("PATCH", path, body, headers={"content-type": kind}, **how)

    def check_frozen(self) -> None:
        """Nobody has changed an object after the store got it: the object still is what its bytes say."""
        for resource in {kind.storage for kind in self.api.registry.kinds() if not kind.virtual}:
            for entry in self.store.list(resource):
                assert orjson.dumps(entry.obj) == entry.data, entry

    def watch(self, path: str, **query: str) -> Any:
        return self.send("GET", path, watch="true", **query)


def read(answer: Response) -> Any:
    """The JSON of an answer, as a client over HTTP sees it."""
    return json.loads(answer.body)


def events(stream: Any) -> list[tuple[str, str]]:
    """(type, name) of what a watch has to tell now."""
    return [(e["type"], e["object"]["metadata"].get("name", "")) for e in
            (json.loads(line) for _, line in stream.poll())]


def config_map(name: str, data: dict[str, str] | None = None, **meta: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}, "data": data or {"k": "v"}}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": [{"name": "c", "image": "busybox"}], **spec}}


def deployment(name: str, replicas: int = 1) -> dict[str, Any]:
    labels = {"app": name}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}}}
