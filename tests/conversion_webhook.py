"""A conversion webhook as an operator's author writes it: a small HTTPS server.

Its kind has a size in v1 (`spec.size: 3`) and a range in v2 (`spec.range: {max: 3}`).
"""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_fakes import make_certificates

Review = dict[str, Any]


def convert(obj: dict[str, Any], wanted: str) -> dict[str, Any]:
    made = {**obj, "apiVersion": wanted}
    spec = obj.get("spec") or {}
    if wanted.endswith("/v1") and "range" in spec:
        made["spec"] = {"size": spec["range"]["max"]}
    elif wanted.endswith("/v2") and "size" in spec:
        made["spec"] = {"range": {"max": spec["size"]}}
    labels = {**(obj["metadata"].get("labels") or {}), "converted-to": wanted.partition("/")[2]}
    made["metadata"] = {**obj["metadata"], "labels": labels, "creationTimestamp": "1970-01-01T00:00:00Z"}
    return made


class Webhook:
    """Answers ConversionReviews; `reviews` keeps the requests.  A test may put another `answer` in place."""

    def __init__(self, folder: Path) -> None:
        make_certificates(folder)
        self.reviews: list[Review] = []
        self.answer: Callable[[Review], Review] = self.converted
        webhook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                webhook.reviews.append(review["request"])
                answer = {"kind": "ConversionReview", "apiVersion": review["apiVersion"],
                          "response": webhook.answer(review["request"])}
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                """Nobody reads it."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.crt", folder / "server.key")
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.ca = base64.b64encode((folder / "ca.crt").read_bytes()).decode()
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def converted(self, request: Review) -> Review:
        return {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": [
            convert(obj, request["desiredAPIVersion"]) for obj in request["objects"]]}

    def client_config(self) -> dict[str, Any]:
        return {"url": f"https://127.0.0.1:{self.port}/convert", "caBundle": self.ca}

    def sizes(self) -> list[int]:
        """How many objects came with each question."""
        return [len(request["objects"]) for request in self.reviews]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def definition(client_config: dict[str, Any], stored: str = "v2") -> dict[str, Any]:
    """Gauges: v1 with a size, v2 with a range."""
    number = {"type": "integer"}
    v1 = {"type": "object", "properties": {"size": number}}
    v2 = {"type": "object", "properties": {"range": {"type": "object", "properties": {"max": number}}}}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "gauges.example.com"}, "spec": {
                "group": "example.com", "scope": "Namespaced", "names": {"plural": "gauges", "kind": "Gauge"},
                "versions": [{"name": name, "served": True, "storage": name == stored, "schema": {
                    "openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
                    "subresources": {"status": {}}} for name, spec in (("v1", v1), ("v2", v2))],
                "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v2", "v1"],
                                                                  "clientConfig": client_config}}}}


def gauge(name: str, version: str = "v1", size: int = 3, **meta: Any) -> dict[str, Any]:
    spec = {"size": size} if version == "v1" else {"range": {"max": size}}
    return {"apiVersion": f"example.com/{version}", "kind": "Gauge", "metadata": {"name": name, **meta}, "spec": spec}
