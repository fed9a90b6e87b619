"""The registry's HTTP API, on loopback: docker, skopeo, containerd and our own nodes push to it and pull from it.

    GET  /v2/                               is this a registry?
    HEAD GET PUT DELETE  /v2/NAME/manifests/TAG|DIGEST
    HEAD GET DELETE      /v2/NAME/blobs/DIGEST
    POST /v2/NAME/blobs/uploads/            begin (or do all of it: ?digest=; or take it over: ?mount=&from=)
    PATCH PUT GET DELETE /v2/NAME/blobs/uploads/UUID
    GET  /v2/NAME/tags/list?n=&last=        GET /v2/NAME/referrers/DIGEST        GET /v2/_catalog

Source: OCI distribution-spec 1.1.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from kitlib.images.descriptor import OCI_INDEX, is_digest
from kitlib.images.errors import ImageError
from kitlib.images.registry.body import Body
from kitlib.images.registry.errors import RegistryError
from kitlib.images.registry.repositories import NAME, Repositories, Repository

LARGEST_MANIFEST = 4 << 20
_NAME = r"(?P<name>.+)"
_RANGE = re.compile(r"(\d+)-(\d+)")
_BYTES = re.compile(r"bytes=(\d*)-(\d*)")


class Registry(ThreadingHTTPServer):
    """root: where it keeps things.  `address` has the port once it listens."""

    daemon_threads = True

    def __init__(self, root: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self.repositories = Repositories(root)
        super().__init__((host, port), _Handler)

    @property
    def address(self) -> str:
        return f"{self.server_address[0]!s}:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "kit-registry", ""
    wbufsize, disable_nagle_algorithm = 1 << 16, True  # an answer is one packet, and goes at once
    server: Registry

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: the client says what went wrong."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.body = Body(self.rfile, self.headers)
        try:
            self.body.check()
            for pattern, methods in self.ROUTES.items():
                match = re.fullmatch(pattern, unquote(parts.path))
                if match:
                    if self.command not in methods:
                        raise RegistryError(405, "UNSUPPORTED", "the operation is unsupported")
                    methods[self.command](self, **match.groupdict())
                    return
            raise RegistryError(404, "UNSUPPORTED", "no such path")
        except RegistryError as error:
            self._fail(error)
        except ImageError as error:
            self._fail(RegistryError(400, "BLOB_UPLOAD_INVALID", str(error)))
        except ConnectionError:
            self.close_connection = True
        except OSError as error:
            self._fail(RegistryError(500, "UNKNOWN", f"the registry cannot keep this: {error.strerror}"))

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _serve

    def _repository(self, name: str) -> Repository:
        return self.server.repositories.repository(name)

    # Answers.

    def _fail(self, error: RegistryError) -> None:
        details = error.details or (error.detail,)
        body = json.dumps({"errors": [{"code": error.code, "message": error.message, "detail": detail}
                                      for detail in details]}).encode()
        self._answer(error.status, body, {"Content-Type": "application/json", **error.headers})

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        if not self.body.skip(LARGEST_MANIFEST):
            self.close_connection = True  # the rest would be taken for the next request
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        if "Content-Length" not in (headers or {}) and status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, document: Any, headers: dict[str, str] | None = None) -> None:
        self._answer(200, json.dumps(document).encode(), {"Content-Type": "application/json", **(headers or {})})

    # Routes.

    def _base(self) -> None:
        self._json({})

    def _catalog(self) -> None:
        self._page("repositories", self.server.repositories.names(), {}, "/v2/_catalog")

    def _tags(self, name: str) -> None:
        self._page("tags", self._repository(name).tags(), {"name": name}, f"/v2/{name}/tags/list")

    def _page(self, key: str, everything: list[str], more: dict[str, str], path: str) -> None:
        last, wanted = self.query.get("last", ""), self.query.get("n", "")
        if wanted and not wanted.isdigit():
            raise RegistryError(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested", wanted)
        found = [each for each in everything if each > last]
        page = found[:int(wanted)] if wanted else found
        headers = {}
        if page and len(page) < len(found):
            headers["Link"] = f'<{path}?{urlencode({"n": wanted, "last": page[-1]})}>; rel="next"'
        self._json({**more, key: page}, headers)

    def _get_manifest(self, name: str, reference: str) -> None:
        repository = self._repository(name)
        found = repository.manifest(reference)
        self._answer(200, repository.read(found.digest), {
            "Content-Type": found.media_type, "Docker-Content-Digest": found.digest, "Content-Length": str(found.size)})

    def _put_manifest(self, name: str, reference: str) -> None:
        media_type = self.headers.get("Content-Type", "").partition(";")[0].strip()
        kept, subject = self._repository(name).put_manifest(reference, self.body.read_all(LARGEST_MANIFEST), media_type)
        self._answer(201, b"", {"Location": f"/v2/{name}/manifests/{kept.digest}", "Docker-Content-Digest": kept.digest,
                                **({"OCI-Subject": subject} if subject else {})})

    def _delete_manifest(self, name: str, reference: str) -> None:
        self._repository(name).delete_manifest(reference)
        self._answer(202)

    def _get_blob(self, name: str, digest: str) -> None:
        path = self._repository(name).blob(digest)
        size = path.stat().st_size
        first, last = 0, size - 1
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest,
                   "Accept-Ranges": "bytes"}
        wanted = _BYTES.fullmatch(self.headers.get("Range", ""))
        if wanted and (wanted[1] or wanted[2]):
            first = int(wanted[1]) if wanted[1] else max(0, size - int(wanted[2]))
            last = min(int(wanted[2]), size - 1) if wanted[1] and wanted[2] else size - 1
            if first > last:
                raise RegistryError(416, "SIZE_INVALID", f"the blob has {size} bytes",
                                    headers={"Content-Range": f"bytes */{size}"})
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        headers["Content-Length"] = str(last - first + 1)
        self._answer(206 if "Content-Range" in headers else 200, b"", headers)
        if self.command == "HEAD":
            return
        with path.open("rb") as file:
            file.seek(first)
            if last == size - 1:
                shutil.copyfileobj(file, self.wfile, 1 << 20)
            else:
                self.wfile.write(file.read(last - first + 1))

    def _delete_blob(self, name: str, digest: str) -> None:
        self._repository(name).delete_blob(digest)
        self._answer(202)

    def _begin_upload(self, name: str) -> None:
        repository = self._repository(name)
        mounted, source, digest = (self.query.get(key, "") for key in ("mount", "from", "digest"))
        if mounted and NAME.fullmatch(source) and repository.mount(mounted, self._repository(source)):
            self._blob_is_there(name, mounted)
            return
        identity = repository.begin()
        if digest:
            repository.append(identity, self.body, None)
            repository.finish(identity, digest)
            self._blob_is_there(name, digest)
            return
        self._progress(202, name, identity)

    def _blob_is_there(self, name: str, digest: str) -> None:
        self._answer(201, b"", {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})

    def _state_of(self, name: str, identity: str) -> dict[str, str]:
        size = self._repository(name).uploaded(identity)
        return {"Location": f"/v2/{name}/blobs/uploads/{identity}", "Range": f"0-{max(0, size - 1)}",
                "Docker-Upload-UUID": identity}

    def _progress(self, status: int, name: str, identity: str) -> None:
        self._answer(status, b"", {**self._state_of(name, identity), "OCI-Chunk-Min-Length": "0"})

    def _chunk(self, name: str, identity: str) -> None:
        self._append(name, identity)
        self._progress(202, name, identity)

    def _append(self, name: str, identity: str) -> None:
        """The body as the next chunk.  Where it has to begin is what Content-Range says; 416 says where we are."""
        repository, said = self._repository(name), self.headers.get("Content-Range")
        place = _RANGE.fullmatch((said or "").removeprefix("bytes "))
        try:
            if said is not None and not place:
                raise RegistryError(416, "BLOB_UPLOAD_INVALID", f"no Content-Range: {said}")
            if place and self.body.length is not None and int(place[2]) - int(place[1]) + 1 != self.body.length:
                raise RegistryError(416, "BLOB_UPLOAD_INVALID", "Content-Range and Content-Length do not agree")
            repository.append(identity, self.body, int(place[1]) if place else None)
        except RegistryError as error:
            if error.status == 416:
                error.headers = self._state_of(name, identity)
            raise

    def _finish_upload(self, name: str, identity: str) -> None:
        digest = self.query.get("digest", "")
        if not is_digest(digest):
            raise RegistryError(400, "DIGEST_INVALID", f"invalid digest: {digest}")
        if self.body.length != 0:
            self._append(name, identity)
        self._repository(name).finish(identity, digest)
        self._blob_is_there(name, digest)

    def _upload_status(self, name: str, identity: str) -> None:
        self._progress(204, name, identity)

    def _cancel_upload(self, name: str, identity: str) -> None:
        self._repository(name).cancel(identity)
        self._answer(204)

    def _referrers(self, name: str, digest: str) -> None:
        if not is_digest(digest):
            raise RegistryError(400, "DIGEST_INVALID", f"invalid digest: {digest}")
        kind = self.query.get("artifactType", "")
        found = [each for each in self._repository(name).referrers(digest) if not kind or each["artifactType"] == kind]
        body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}).encode()
        filtered = {"OCI-Filters-Applied": "artifactType"} if kind else {}
        self._answer(200, body, {"Content-Type": OCI_INDEX, **filtered})

    ROUTES: ClassVar[dict[str, dict[str, Callable[..., None]]]] = {
        r"/v2/?": {"GET": _base, "HEAD": _base},
        r"/v2/_catalog": {"GET": _catalog},
        rf"/v2/{_NAME}/tags/list": {"GET": _tags},
        rf"/v2/{_NAME}/manifests/(?P<reference>[^/]+)": {"GET": _get_manifest, "HEAD": _get_manifest,
                                                         "PUT": _put_manifest, "DELETE": _delete_manifest},
        rf"/v2/{_NAME}/blobs/uploads/?": {"POST": _begin_upload},
        rf"/v2/{_NAME}/blobs/uploads/(?P<identity>[^/]+)": {"PATCH": _chunk, "PUT": _finish_upload,
                                                            "GET": _upload_status, "DELETE": _cancel_upload},
        rf"/v2/{_NAME}/blobs/(?P<digest>[^/]+)": {"GET": _get_blob, "HEAD": _get_blob, "DELETE": _delete_blob},
        rf"/v2/{_NAME}/referrers/(?P<digest>[^/]+)": {"GET": _referrers}}
