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

import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

from kitlib.images.descriptor import OCI_INDEX, is_digest
from kitlib.images.errors import ImageError
from kitlib.images.registry.repositories import RegistryError, Repositories, Repository

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
    server: Registry

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: the client says what went wrong."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self._left = int(self.headers.get("Content-Length") or 0)
        try:
            for pattern, methods in self.ROUTES.items():
                match = re.fullmatch(pattern, parts.path)
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
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _serve

    def _repository(self, name: str) -> Repository:
        return self.server.repositories.repository(name)

    # Answers.

    def _fail(self, error: RegistryError) -> None:
        if self._left > LARGEST_MANIFEST:
            self.close_connection = True
        elif self._left:
            self.rfile.read(self._left)
        body = json.dumps({"errors": [{"code": error.code, "message": error.message, "detail": error.detail}]}).encode()
        self._answer(error.status, body, {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}) and status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, document: Any, headers: dict[str, str] | None = None) -> None:
        self._answer(200, json.dumps(document).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _body(self, most: int) -> bytes:
        if self._left > most:
            raise RegistryError(413, "SIZE_INVALID", f"more than {most} bytes")
        data, self._left = self.rfile.read(self._left), 0
        return data

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
        kept, subject = self._repository(name).put_manifest(reference, self._body(LARGEST_MANIFEST),
                                                            self.headers.get("Content-Type", ""))
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
                raise RegistryError(416, "SIZE_INVALID", f"the blob has {size} bytes")
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
        mounted, digest = self.query.get("mount", ""), self.query.get("digest", "")
        if mounted and self.query.get("from") and repository.mount(mounted, self._repository(self.query["from"])):
            self._blob_is_there(name, mounted)
            return
        identity = repository.begin()
        if digest:
            self._receive(repository, identity, None)
            repository.finish(identity, digest)
            self._blob_is_there(name, digest)
            return
        self._progress(202, name, identity)

    def _receive(self, repository: Repository, identity: str, start: int | None) -> None:
        """The body, appended.  What is refused before it was read is read by `_fail`."""
        repository.append(identity, self.rfile, self._left, start)
        self._left = 0

    def _blob_is_there(self, name: str, digest: str) -> None:
        self._answer(201, b"", {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})

    def _progress(self, status: int, name: str, identity: str) -> None:
        size = self._repository(name).uploaded(identity)
        self._answer(status, b"", {"Location": f"/v2/{name}/blobs/uploads/{identity}", "Range": f"0-{max(0, size - 1)}",
                                   "Docker-Upload-UUID": identity, "OCI-Chunk-Min-Length": "0"})

    def _chunk(self, name: str, identity: str) -> None:
        self._append(self._repository(name), identity)
        self._progress(202, name, identity)

    def _append(self, repository: Repository, identity: str) -> None:
        said = _RANGE.fullmatch(self.headers.get("Content-Range", "").removeprefix("bytes "))
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            for piece in self._chunked():
                repository.append(identity, io.BytesIO(piece), len(piece), None)
            return
        if said and int(said[2]) - int(said[1]) + 1 != self._left:
            raise RegistryError(416, "BLOB_UPLOAD_INVALID", "Content-Range and Content-Length do not agree")
        self._receive(repository, identity, int(said[1]) if said else None)

    def _chunked(self) -> Iterator[bytes]:
        """The pieces of a body without a known length (docker push)."""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue

    def _finish_upload(self, name: str, identity: str) -> None:
        repository = self._repository(name)
        if self._left or self.headers.get("Transfer-Encoding"):
            self._append(repository, identity)
        repository.finish(identity, self.query.get("digest", ""))
        self._blob_is_there(name, self.query["digest"])

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
