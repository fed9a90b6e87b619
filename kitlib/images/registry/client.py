"""Pull and push: an image from a registry into the store, and back.

    pull   manifest ──▶ (of an index, this machine's) ──▶ config and the layers that are not there yet ──▶ a name
    push   the blobs that the registry does not have ──▶ manifest

A registry on loopback is spoken to over HTTP, every other over HTTPS, anonymously or with a token that it hands out to
everybody, as Docker Hub does.

Source: OCI distribution-spec 1.1; docker/distribution, spec/auth/token.md.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urljoin

from kitlib.images.descriptor import DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Descriptor, digest_of
from kitlib.images.errors import ImageError
from kitlib.images.reference import Reference, parse
from kitlib.images.store import ImageStore, StoredImage, choose, read_image

SECONDS = 30.0
_ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST))
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
Progress = Callable[[Descriptor, str], None]  # which blob; "pulling", "pulled" or "there"


class RegistryClient:
    """One registry, by the host of a reference."""

    def __init__(self, host: str) -> None:
        self._host = "registry-1.docker.io" if host == "docker.io" else host
        self._base = f"{'http' if is_loopback(host) else 'https'}://{self._host}/v2/"
        self._token = ""

    def request(self, method: str, path: str, *, body: Any = None, headers: dict[str, str] | None = None
                ) -> http.client.HTTPResponse:
        """path: below /v2/, or a whole URL.  Raises ImageError in the registry's own words."""
        for attempt in (1, 2):
            request = urllib.request.Request(urljoin(self._base, path), data=body, method=method, headers={
                **(headers or {}), **({"Authorization": f"Bearer {self._token}"} if self._token else {})})
            try:
                answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=SECONDS)
                return answer
            except urllib.error.HTTPError as error:
                challenge = error.headers.get("WWW-Authenticate", "")
                if error.code == 401 and attempt == 1 and challenge.lower().startswith("bearer "):
                    self._token = self._fetch_token(dict(_CHALLENGE.findall(challenge)))
                    continue
                raise ImageError(_sentence(error, self._host, path)) from error
            except (OSError, http.client.HTTPException) as error:
                raise ImageError(f"registry {self._host} cannot be reached: {getattr(error, 'reason', error)}"
                                 ) from error
        raise ImageError(f"registry {self._host} refuses its own token")

    @staticmethod
    def _fetch_token(challenge: dict[str, str]) -> str:
        realm = challenge.pop("realm", "")
        try:
            with urllib.request.urlopen(f"{realm}?{urlencode(challenge)}", timeout=SECONDS) as answer:
                found = json.load(answer)
        except (OSError, ValueError) as error:
            raise ImageError(f"no token from {realm}: {error}") from error
        return str(found.get("token") or found.get("access_token") or "")


def is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _sentence(error: urllib.error.HTTPError, host: str, path: str) -> str:
    try:
        said = json.load(error)["errors"][0]
        return f"{host}: {path}: {said['message'] or said['code']}"
    except (ValueError, KeyError, IndexError, TypeError):
        return f"{host}: {path}: HTTP {error.code} {error.reason}"


def _parsed(name: str) -> tuple[Reference, str, str]:
    found = parse(name)
    if found is None:
        raise ImageError(f"{name!r} is no name of an image")
    host, _, path = found.repository.partition("/")
    return found, host, path


def pull(store: ImageStore, name: str, progress: Progress = lambda blob, what: None) -> StoredImage:
    """Raises ImageError; what has been fetched by then stays, and is not fetched again."""
    reference, host, path = _parsed(name)
    client = RegistryClient(host)
    manifest = _manifest(client, store, path, reference.digest or reference.tag)
    document = json.loads(store.read(manifest.digest))
    if "manifests" in document:
        manifest = _manifest(client, store, path, choose(document, name).digest)
        document = json.loads(store.read(manifest.digest))
    for each in (document.get("config"), *(document.get("layers") or ())):
        blob = Descriptor.parse(each, f"a part of {name}")
        if store.has(blob.digest):
            progress(blob, "there")
            continue
        progress(blob, "pulling")
        with client.request("GET", f"{path}/blobs/{blob.digest}") as answer:
            store.add(answer, blob.media_type, blob.digest)
        progress(blob, "pulled")
    store.tag(str(reference), manifest)
    return read_image(store, str(reference), manifest)


def _manifest(client: RegistryClient, store: ImageStore, path: str, reference: str) -> Descriptor:
    with client.request("GET", f"{path}/manifests/{reference}", headers={"Accept": _ACCEPT}) as answer:
        data, media_type = answer.read(), answer.headers.get("Content-Type", "")
    if reference.startswith("sha256:") and digest_of(data) != reference:
        raise ImageError(f"the registry sent {digest_of(data)} for {reference}")
    return store.write(data, media_type)


def push(store: ImageStore, image: StoredImage, name: str, progress: Progress = lambda blob, what: None) -> str:
    """Send an image to the registry of that name; the manifest's digest.  Raises ImageError."""
    reference, host, path = _parsed(name)
    client = RegistryClient(host)
    for blob in (image.config_descriptor, *image.layers):
        if _has(client, path, blob.digest):
            progress(blob, "there")
            continue
        with client.request("POST", f"{path}/blobs/uploads/", body=b"") as answer:
            place = urljoin(answer.url, answer.headers["Location"])
        place += ("&" if "?" in place else "?") + urlencode({"digest": blob.digest})
        with open(store.blob(blob.digest), "rb") as file:
            client.request("PUT", place, body=file, headers={
                "Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}).close()
        progress(blob, "pushed")
    data = store.read(image.digest)
    client.request("PUT", f"{path}/manifests/{reference.tag or image.digest}", body=data, headers={
        "Content-Type": image.manifest.media_type}).close()
    return image.digest


def _has(client: RegistryClient, path: str, digest: str) -> bool:
    try:
        client.request("HEAD", f"{path}/blobs/{digest}").close()
    except ImageError:
        return False
    return True
