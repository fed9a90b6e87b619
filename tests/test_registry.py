"""The registry: the rules of the distribution spec, our own client, docker and skopeo."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_files import docker_archive, layer
from registry_client import MANIFEST, Client, serving

from kitlib.images import archive
from kitlib.images.errors import ImageError
from kitlib.images.registry.client import pull, push
from kitlib.images.registry.server import Registry
from kitlib.images.store import ImageStore

LAYERS = [layer(("etc/motd", b"hello")), layer(("app", b"#!" * 1000))]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with serving(tmp_path / "registry") as server:
        yield server


@pytest.fixture
def client(registry: Registry) -> Client:
    return Client(registry.address)


def test_it_says_that_it_is_a_registry(client: Client) -> None:
    status, headers, _ = client("GET", "/v2/")
    assert (status, headers["docker-distribution-api-version"]) == (200, "registry/2.0")


def test_a_blob_in_chunks_and_what_does_not_fit(client: Client) -> None:
    data = b"0123456789" * 1000
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    status, headers, _ = client("POST", "/v2/a/b/blobs/uploads/")
    place = headers["location"]
    assert status == 202
    status, headers, _ = client("PATCH", place, data[:4000], Content_Range="0-3999")
    assert (status, headers["range"]) == (202, "0-3999")
    assert client.error("PATCH", place, data[5000:], Content_Range="5000-9999") == (416, "BLOB_UPLOAD_INVALID")
    status, headers, _ = client("GET", place)
    assert (status, headers["range"]) == (204, "0-3999")
    assert client("PATCH", place, data[4000:9000], Content_Range="4000-8999")[0] == 202
    status, headers, _ = client("PUT", f"{place}?digest={digest}", data[9000:], Content_Range="9000-9999")
    assert (status, headers["location"]) == (201, f"/v2/a/b/blobs/{digest}")
    assert client("GET", f"/v2/a/b/blobs/{digest}")[2] == data
    status, headers, part = client("GET", f"/v2/a/b/blobs/{digest}", Range="bytes=10-14")
    assert (status, headers["content-range"], part) == (206, "bytes 10-14/10000", b"01234")
    assert client("HEAD", f"/v2/a/b/blobs/{digest}")[1]["content-length"] == "10000"
    assert client.error("GET", place) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_a_blob_belongs_to_its_repository_until_it_is_mounted(client: Client) -> None:
    digest = client.blob("one", b"data")
    assert client.error("GET", f"/v2/two/blobs/{digest}") == (404, "BLOB_UNKNOWN")
    assert client("POST", f"/v2/two/blobs/uploads/?mount={digest}&from=one")[0] == 201
    assert client("GET", f"/v2/two/blobs/{digest}")[2] == b"data"
    assert client("POST", f"/v2/two/blobs/uploads/?mount=sha256:{'0' * 64}&from=one")[0] == 202  # upload it yourself
    assert client("DELETE", f"/v2/one/blobs/{digest}")[0] == 202
    assert client("GET", f"/v2/two/blobs/{digest}")[0] == 200


def test_manifests_and_tags(client: Client) -> None:
    first = client.manifest("app", "v1")
    assert client.manifest("app", "latest") == first
    status, headers, data = client("GET", "/v2/app/manifests/v1", Accept=MANIFEST)
    assert (status, headers["content-type"], headers["docker-content-digest"]) == (200, MANIFEST, first)
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == first
    for tag in ("a", "b", "c"):
        client.manifest("app", tag, annotations={"t": tag})
    assert json.loads(client("GET", "/v2/app/tags/list")[2]) == {"name": "app", "tags": ["a", "b", "c", "latest", "v1"]}
    _, headers, data = client("GET", "/v2/app/tags/list?n=2&last=a")
    assert json.loads(data)["tags"] == ["b", "c"]
    assert headers["link"] == '</v2/app/tags/list?n=2&last=c>; rel="next"'
    assert client("DELETE", "/v2/app/manifests/v1")[0] == 202
    assert client("GET", "/v2/app/manifests/latest")[0] == 200
    assert client("DELETE", f"/v2/app/manifests/{first}")[0] == 202
    assert client.error("GET", "/v2/app/manifests/latest") == (404, "MANIFEST_UNKNOWN")
    assert json.loads(client("GET", "/v2/_catalog")[2]) == {"repositories": ["app"]}


def test_referrers(client: Client) -> None:
    subject = client.manifest("app", "v1")
    about = {"mediaType": MANIFEST, "digest": subject, "size": 1}
    signature = client.manifest("app", "sig", subject=about, artifactType="application/x-signature")
    client.manifest("app", "sbom", subject=about, artifactType="application/x-sbom")
    _, headers, data = client("GET", f"/v2/app/referrers/{subject}")
    assert headers["content-type"] == "application/vnd.oci.image.index.v1+json"
    assert len(json.loads(data)["manifests"]) == 2
    _, headers, data = client("GET", f"/v2/app/referrers/{subject}?artifactType=application/x-signature")
    assert [each["digest"] for each in json.loads(data)["manifests"]] == [signature]
    assert headers["oci-filters-applied"] == "artifactType"
    assert json.loads(client("GET", f"/v2/app/referrers/sha256:{'0' * 64}")[2])["manifests"] == []


def test_what_is_wrong_has_the_specs_codes(client: Client) -> None:
    digest = "sha256:" + "0" * 64
    document = json.dumps({"schemaVersion": 2, "config": {"digest": digest}, "layers": []}).encode()
    for method, path, body, expected in (
            ("GET", "/v2/UPPER/tags/list", b"", (400, "NAME_INVALID")),
            ("GET", "/v2/none/tags/list", b"", (404, "NAME_UNKNOWN")),
            ("GET", "/v2/none/manifests/v1", b"", (404, "NAME_UNKNOWN")),
            ("GET", "/v2/a/blobs/sha256:x", b"", (400, "DIGEST_INVALID")),
            ("PUT", "/v2/a/manifests/v1", b"{", (400, "MANIFEST_INVALID")),
            ("PUT", "/v2/a/manifests/v1", document, (404, "MANIFEST_BLOB_UNKNOWN")),
            ("PUT", f"/v2/a/manifests/{digest}", b"{}", (400, "DIGEST_INVALID")),
            ("PUT", "/v2/a/manifests/.bad", b"{}", (400, "TAG_INVALID")),
            ("POST", f"/v2/a/blobs/uploads/?digest={digest}", b"other", (400, "DIGEST_INVALID")),
            ("PATCH", "/v2/a/blobs/uploads/nope", b"x", (404, "BLOB_UPLOAD_UNKNOWN")),
            ("GET", "/v2/a/tags/list?n=x", b"", (400, "PAGINATION_NUMBER_INVALID")),
            ("GET", "/elsewhere", b"", (404, "UNSUPPORTED")), ("POST", "/v2/", b"", (405, "UNSUPPORTED"))):
        assert client.error(method, path, body) == expected, (method, path)


def test_our_own_client_pushes_and_pulls(registry: Registry, tmp_path: Path) -> None:
    store, other = ImageStore(tmp_path / "one"), ImageStore(tmp_path / "two")
    name = f"{registry.address}/kit/app:v1"
    [image] = archive.load(store, docker_archive(tmp_path / "a.tar", LAYERS, name))
    told: list[str] = []
    assert push(store, image, name, lambda blob, what: told.append(what)) == image.digest
    assert push(store, image, name, lambda blob, what: told.append(what)) == image.digest
    assert told == ["pushed"] * 3 + ["there"] * 3
    assert pull(other, name) == image
    assert pull(other, f"{registry.address}/kit/app@{image.digest}").digest == image.digest
    with pytest.raises(ImageError, match="manifest unknown"):
        pull(other, f"{registry.address}/kit/app:none")
    with pytest.raises(ImageError, match=r"registry 127\.0\.0\.1:1 cannot be reached"):
        pull(other, "127.0.0.1:1/app")


@pytest.mark.needs("docker", "skopeo")
def test_docker_and_skopeo_push_and_pull(registry: Registry, tmp_path: Path) -> None:
    def run(*command: str, stdin: bytes = b"") -> None:
        done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, (command, done.stderr)

    name, store = f"{registry.address}/kit-test/pushed:v1", ImageStore(tmp_path / "store")
    run("docker", "import", "-", name, stdin=LAYERS[0])
    try:
        run("docker", "push", name)
        image = pull(store, name)
        run("docker", "rmi", name)
        run("docker", "pull", name)
        known = json.loads(subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=True).stdout)
        assert known[0]["Id"] == image.id
    finally:
        subprocess.run(["docker", "rmi", name], capture_output=True, check=False)
    copied = f"{registry.address}/kit-test/copied:v1"
    run("skopeo", "copy", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false", f"docker://{name}",
        f"docker://{copied}")
    assert pull(store, copied).id == image.id
