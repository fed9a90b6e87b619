"""The distribution spec's rules, each a test with the rule's name, for `kit registry`.

Source: opencontainers/distribution-spec 1.1, spec.md, and what its conformance suite looks at (pull, push, content
discovery, content management); RFC 9110 for ranges.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from registry_client import DATA, DIGEST, EMPTY, INDEX, MANIFEST, NOWHERE, Client, begin, digest_of, put, serving

from kitlib.images.registry.server import Registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with serving(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def client(registry: Registry) -> Client:
    return Client(registry.address)


@pytest.fixture
def repo(request: pytest.FixtureRequest) -> str:
    """A repository of the test's own."""
    return "conformance/" + re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:100].strip("-")


# Pull.


def test_end1_get_v2_is_200(client: Client) -> None:
    assert client("GET", "/v2/")[0] == 200


def test_head_and_get_of_a_blob(client: Client, repo: str) -> None:
    client.blob(repo, DATA)
    for method, expected in (("HEAD", b""), ("GET", DATA)):
        status, headers, body = client(method, f"/v2/{repo}/blobs/{DIGEST}")
        assert (status, body) == (200, expected)
        assert (headers["content-length"], headers["docker-content-digest"]) == ("3000", DIGEST)


def test_head_and_get_of_what_is_not_there_is_404(client: Client, repo: str) -> None:
    client.blob(repo, DATA)
    for path in (f"blobs/{NOWHERE}", f"manifests/{NOWHERE}", "manifests/no-such-tag"):
        assert client("HEAD", f"/v2/{repo}/{path}")[::2] == (404, b"")
        status, code = client.error("GET", f"/v2/{repo}/{path}")
        assert (status, code) == (404, "BLOB_UNKNOWN" if "blobs" in path else "MANIFEST_UNKNOWN")


def test_head_and_get_of_a_manifest_by_tag_and_by_digest(client: Client, repo: str) -> None:
    digest = put(client, repo, "v1")
    for reference in ("v1", digest):
        for method in ("HEAD", "GET"):
            status, headers, body = client(method, f"/v2/{repo}/manifests/{reference}", Accept=f"{INDEX}, {MANIFEST}")
            assert (status, headers["content-type"]) == (200, MANIFEST)
            assert headers["docker-content-digest"] == digest
            assert method == "HEAD" or digest_of(body) == digest
            assert int(headers["content-length"]) > 0


@pytest.mark.parametrize(("said", "first", "last"), [
    ("bytes=500-1499", 500, 1499), ("bytes=500-", 500, 2999), ("bytes=-500", 2500, 2999),
    ("bytes=2900-5000", 2900, 2999), ("bytes=0-0", 0, 0)])
def test_a_range_of_a_blob_is_206(client: Client, said: str, first: int, last: int) -> None:
    client.blob("conformance/ranges", DATA)
    status, headers, body = client("GET", f"/v2/conformance/ranges/blobs/{DIGEST}", Range=said)
    assert (status, body) == (206, DATA[first:last + 1])
    assert headers["content-range"] == f"bytes {first}-{last}/3000"
    assert headers["content-length"] == str(last - first + 1)


@pytest.mark.parametrize("said", ["bytes=500-0", "bytes=5000-10000", "bytes=3000-"])
def test_a_range_that_cannot_be_is_416(client: Client, said: str) -> None:
    client.blob("conformance/ranges", DATA)
    status, headers, _ = client("GET", f"/v2/conformance/ranges/blobs/{DIGEST}", Range=said)
    assert (status, headers["content-range"]) == (416, "bytes */3000")


# Push: blobs.


def test_post_with_digest_is_the_whole_upload(client: Client, repo: str) -> None:
    status, headers, _ = client("POST", f"/v2/{repo}/blobs/uploads/?digest={DIGEST}", DATA)
    assert (status, headers["docker-content-digest"]) == (201, DIGEST)
    assert client("GET", headers["location"])[2] == DATA


def test_post_then_put(client: Client, repo: str) -> None:
    status, headers, _ = client("PUT", f"{begin(client, repo)}?digest={DIGEST}", DATA)
    assert status == 201
    assert client("GET", headers["location"])[2] == DATA


@pytest.mark.parametrize("method", ["PATCH", "PUT", "POST"])
def test_a_body_of_unknown_length(client: Client, repo: str, method: str) -> None:
    pieces = iter([DATA[:10], DATA[10:2000], DATA[2000:]])
    if method == "POST":
        assert client("POST", f"/v2/{repo}/blobs/uploads/?digest={DIGEST}", pieces)[0] == 201
    elif method == "PUT":
        assert client("PUT", f"{begin(client, repo)}?digest={DIGEST}", pieces)[0] == 201
    else:
        status, headers, _ = client("PATCH", begin(client, repo), pieces)
        assert (status, headers["range"]) == (202, "0-2999")
        assert client("PUT", f"{headers['location']}?digest={DIGEST}")[0] == 201
    assert client("GET", f"/v2/{repo}/blobs/{DIGEST}")[2] == DATA


@pytest.mark.parametrize("last_by_put", [False, True])
def test_chunks_in_order(client: Client, repo: str, last_by_put: bool) -> None:
    place, chunks = begin(client, repo), [(0, 999), (1000, 1999), (2000, 2999)]
    for first, last in chunks[:-1] if last_by_put else chunks:
        status, headers, _ = client("PATCH", place, DATA[first:last + 1], Content_Range=f"{first}-{last}",
                                    Content_Type="application/octet-stream")
        assert (status, headers["range"]) == (202, f"0-{last}")
        place = headers["location"]
    rest = {"body": DATA[2000:], "Content_Range": "2000-2999"} if last_by_put else {}
    assert client("PUT", f"{place}?digest={DIGEST}", **rest)[0] == 201  # type: ignore[arg-type]
    assert client("GET", f"/v2/{repo}/blobs/{DIGEST}")[2] == DATA


def test_a_chunk_out_of_order_is_416_and_says_where_we_are(client: Client, repo: str) -> None:
    place = begin(client, repo)
    assert client("PATCH", place, DATA[1000:2000], Content_Range="1000-1999")[0] == 416
    assert client("PATCH", place, DATA[:1000], Content_Range="0-999")[0] == 202
    for method, path, said in (("PATCH", place, "0-999"), ("PATCH", place, "2000-2999"), ("PATCH", place, "nonsense"),
                               ("PATCH", place, "1000-1500"), ("PUT", f"{place}?digest={DIGEST}", "2000-2999")):
        status, headers, _ = client(method, path, DATA[:1000], Content_Range=said)
        assert (status, headers["range"], headers["location"]) == (416, "0-999", place), said
    status, headers, _ = client("GET", place)
    assert (status, headers["range"]) == (204, "0-999")
    assert client("PATCH", place, DATA[1000:], Content_Range="1000-2999")[0] == 202  # it goes on all the same
    assert client("PUT", f"{place}?digest={DIGEST}")[0] == 201


def test_an_upload_is_cancelled(client: Client, repo: str) -> None:
    place = begin(client, repo)
    client("PATCH", place, DATA)
    assert client("DELETE", place)[0] == 204
    for method, path in (("GET", place), ("PATCH", place), ("DELETE", place), ("PUT", f"{place}?digest={DIGEST}")):
        assert client.error(method, path) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert client("HEAD", f"/v2/{repo}/blobs/{DIGEST}")[0] == 404


@pytest.mark.parametrize("how", ["post", "put", "chunked"])
def test_a_digest_that_does_not_match_is_refused(client: Client, repo: str, how: str) -> None:
    wrong = DATA + b"oh no"
    if how == "post":
        found = client.error("POST", f"/v2/{repo}/blobs/uploads/?digest={DIGEST}", wrong)
    else:
        place = begin(client, repo)
        if how == "chunked":
            client("PATCH", place, wrong, Content_Range="0-3004")
        found = client.error("PUT", f"{place}?digest={DIGEST}", b"" if how == "chunked" else wrong)
        assert client.error("GET", place) == (404, "BLOB_UPLOAD_UNKNOWN")  # the upload has failed
    assert found == (400, "DIGEST_INVALID")
    assert client("HEAD", f"/v2/{repo}/blobs/{DIGEST}")[0] == 404


@pytest.mark.parametrize("digest", ["", "sha256:short", "md5:" + "0" * 32, NOWHERE.upper(), "../../etc/passwd"])
def test_what_is_no_digest_is_refused_before_anything_is_read(client: Client, repo: str, digest: str) -> None:
    place = begin(client, repo)
    assert client.error("PUT", f"{place}?digest={digest}", DATA) == (400, "DIGEST_INVALID")
    assert client("DELETE", place)[0] == 204


@pytest.mark.parametrize("data", [b"", b"{}"])
def test_blobs_that_everybody_has(client: Client, repo: str, data: bytes) -> None:
    assert client("PUT", f"{begin(client, repo)}?digest={digest_of(data)}", data)[0] == 201
    status, headers, body = client("GET", f"/v2/{repo}/blobs/{digest_of(data)}")
    assert (status, headers["content-length"], body) == (200, str(len(data)), data)


def test_a_mount_from_another_repository(client: Client, repo: str) -> None:
    client.blob("conformance/source", DATA)
    status, headers, _ = client("POST", f"/v2/{repo}/blobs/uploads/?mount={DIGEST}&from=conformance/source")
    assert (status, headers["location"]) == (201, f"/v2/{repo}/blobs/{DIGEST}")
    assert client("GET", f"/v2/{repo}/blobs/{DIGEST}")[2] == DATA


@pytest.mark.parametrize("query", [f"mount={NOWHERE}&from=conformance/source", f"mount={DIGEST}&from=conformance/none",
                                   f"mount={DIGEST}", f"mount={DIGEST}&from=NO/name", "mount=nonsense&from=a"])
def test_a_mount_that_cannot_be_is_an_upload(client: Client, repo: str, query: str) -> None:
    client.blob("conformance/source", DATA)
    status, headers, _ = client("POST", f"/v2/{repo}/blobs/uploads/?{query}")
    assert status == 202
    assert client("PUT", f"{headers['location']}?digest={DIGEST}", DATA)[0] == 201


# Push: manifests.


def test_a_manifest_by_digest_and_by_several_tags(client: Client, repo: str) -> None:
    digest = put(client, repo, "")
    assert [put(client, repo, tag) for tag in ("test0", "test1", "A_b.c-d")] == [digest] * 3
    assert client("GET", f"/v2/{repo}/manifests/test1")[0] == 200
    other = put(client, repo, "test1", annotations={"a": "b"})  # a tag moves
    assert client("HEAD", f"/v2/{repo}/manifests/test1")[1]["docker-content-digest"] == other
    assert client("HEAD", f"/v2/{repo}/manifests/{digest}")[0] == 200


def test_a_manifest_whose_digest_is_another(client: Client, repo: str) -> None:
    body = json.dumps({"schemaVersion": 2, "config": EMPTY, "layers": []}).encode()
    client.blob(repo, b"{}")
    for reference in (digest_of(body + b" "), "sha256:baddigeststring"):
        status, code = client.error("PUT", f"/v2/{repo}/manifests/{reference}", body, Content_Type=MANIFEST)
        assert (status, code in ("DIGEST_INVALID", "TAG_INVALID")) == (400, True)
    assert client("GET", f"/v2/{repo}/manifests/sha256:baddigeststring")[0] in (400, 404)


def test_every_blob_that_is_missing_is_an_error(client: Client, repo: str) -> None:
    client.blob(repo, b"{}")
    missing = [digest_of(b"one"), digest_of(b"two")]
    body = {"schemaVersion": 2, "config": EMPTY, "layers": [EMPTY | {"digest": digest} for digest in missing]}
    status, _, data = client("PUT", f"/v2/{repo}/manifests/x", json.dumps(body).encode(), Content_Type=MANIFEST)
    assert status == 404
    assert [(each["code"], each["detail"]["digest"]) for each in json.loads(data)["errors"]] == [
        ("MANIFEST_BLOB_UNKNOWN", digest) for digest in missing]
    elsewhere = EMPTY | {"digest": NOWHERE, "urls": ["https://example.com/layer"]}
    assert put(client, repo, "not-distributable", layers=[elsewhere])


def test_an_index_and_an_index_of_indexes(client: Client, repo: str) -> None:
    one = {"mediaType": MANIFEST, "digest": put(client, repo, "one"), "size": 1}
    index = put(client, repo, "index", INDEX, manifests=[one])
    nested = put(client, repo, "nested", INDEX, manifests=[{"mediaType": INDEX, "digest": index, "size": 1}])
    assert put(client, repo, "empty", INDEX, manifests=[])
    status, headers, body = client("GET", f"/v2/{repo}/manifests/nested")
    assert (status, headers["content-type"], digest_of(body)) == (200, INDEX, nested)
    body = json.dumps({"schemaVersion": 2, "manifests": [one | {"digest": NOWHERE}]}).encode()
    assert client.error("PUT", f"/v2/{repo}/manifests/sparse", body, Content_Type=INDEX) == (404, "MANIFEST_UNKNOWN")


def test_a_large_manifest_is_kept_and_too_large_a_one_is_413(client: Client, repo: str) -> None:
    large = {f"large-{i}": "A" * 10000 for i in range(390)}  # below the 4 MiB that every registry takes
    digest = put(client, repo, "large", annotations=large)
    assert digest_of(client("GET", f"/v2/{repo}/manifests/large")[2]) == digest
    assert client.error("PUT", f"/v2/{repo}/manifests/huge", b" " * ((4 << 20) + 1)) == (413, "SIZE_INVALID")


def test_the_type_of_a_manifest_is_without_parameters_and_fields_nobody_knows_stay(client: Client, repo: str) -> None:
    client.blob(repo, b"{}")
    body = json.dumps({"schemaVersion": 2, "config": EMPTY, "layers": [], "org.example.new": 1}).encode()
    assert client("PUT", f"/v2/{repo}/manifests/x", body, Content_Type=f"{MANIFEST}; charset=utf-8")[0] == 201
    _, headers, found = client("GET", f"/v2/{repo}/manifests/x")
    assert (headers["content-type"], found) == (MANIFEST, body)


# Content discovery.


def test_tags_in_order_by_n_and_last(client: Client, repo: str) -> None:
    tags = ["a1", "b1", "c1", "d1"]
    for tag in reversed(tags):
        put(client, repo, tag)
    path, seen = f"/v2/{repo}/tags/list?n=3", []
    while path:
        _, headers, body = client("GET", path)
        seen.append(json.loads(body)["tags"])
        path = headers.get("link", "").partition("<")[2].partition(">")[0]
    assert seen == [tags[:3], tags[3:]]
    for query, expected in (("n=0", []), ("last=b1", tags[2:]), ("n=1&last=b1", ["c1"]), ("n=9", tags),
                            ("last=bb", tags[2:]), ("n=4", tags), ("last=zzz", [])):
        _, headers, body = client("GET", f"/v2/{repo}/tags/list?{query}")
        assert json.loads(body) == {"name": repo, "tags": expected}, query
        assert ("link" in headers) == (query == "n=1&last=b1"), query
    assert client.error("GET", f"/v2/{repo}/tags/list?n=-1") == (400, "PAGINATION_NUMBER_INVALID")


def test_referrers(client: Client, repo: str) -> None:
    subject = {"mediaType": MANIFEST, "digest": put(client, repo, "subject"), "size": 1}
    about = {"subject": subject, "annotations": {"k": "v"}}
    made = {put(client, repo, "", artifactType="application/a", **about): (MANIFEST, "application/a"),
            put(client, repo, "", config=EMPTY | {"mediaType": "application/by.config"}, **about):
                (MANIFEST, "application/by.config"),
            put(client, repo, "tagged", INDEX, manifests=[], artifactType="application/a", **about):
                (INDEX, "application/a")}  # fmt: skip
    status, headers, body = client("GET", f"/v2/{repo}/referrers/{subject['digest']}")
    assert (status, headers["content-type"], "oci-filters-applied" in headers) == (200, INDEX, False)
    index = json.loads(body)
    assert (index["schemaVersion"], index["mediaType"]) == (2, INDEX)
    assert {each["digest"]: (each["mediaType"], each["artifactType"]) for each in index["manifests"]} == made
    assert all(each["annotations"] == {"k": "v"} and each["size"] > 0 for each in index["manifests"])
    _, headers, body = client("GET", f"/v2/{repo}/referrers/{subject['digest']}?artifactType=application%2Fa")
    assert headers["oci-filters-applied"] == "artifactType"
    assert {each["digest"] for each in json.loads(body)["manifests"]} == {d for d, what in made.items()
                                                                         if what[1] == "application/a"}
    gone = next(iter(made))
    client("DELETE", f"/v2/{repo}/manifests/{gone}")
    _, _, body = client("GET", f"/v2/{repo}/referrers/{subject['digest']}")
    assert gone not in {each["digest"] for each in json.loads(body)["manifests"]}


def test_a_subject_may_come_later_and_the_answer_names_it(client: Client, repo: str) -> None:
    client.blob(repo, b"{}")
    missing = digest_of(b"missing")
    body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": EMPTY, "layers": [],
                       "subject": {"mediaType": MANIFEST, "digest": missing, "size": 1}}).encode()
    status, headers, _ = client("PUT", f"/v2/{repo}/manifests/x", body, Content_Type=MANIFEST)
    assert (status, headers["oci-subject"]) == (201, missing)
    _, _, body = client("GET", f"/v2/{repo}/referrers/{missing}")
    assert len(json.loads(body)["manifests"]) == 1


def test_referrers_of_what_nobody_knows_are_none_and_of_no_digest_400(client: Client, repo: str) -> None:
    status, headers, body = client("GET", f"/v2/{repo}/referrers/{NOWHERE}")
    assert (status, headers["content-type"], json.loads(body)["manifests"]) == (200, INDEX, [])
    assert client.error("GET", f"/v2/{repo}/referrers/sha256:x") == (400, "DIGEST_INVALID")


def test_the_fallback_tag_of_clients_without_the_referrers_api(client: Client, repo: str) -> None:
    subject = put(client, repo, "subject")
    artifact = put(client, repo, "", subject={"mediaType": MANIFEST, "digest": subject, "size": 1})
    tag = subject.replace(":", "-")
    put(client, repo, tag, INDEX, manifests=[{"mediaType": MANIFEST, "digest": artifact, "size": 1}])
    assert json.loads(client("GET", f"/v2/{repo}/manifests/{tag}")[2])["manifests"][0]["digest"] == artifact
    assert tag in json.loads(client("GET", f"/v2/{repo}/tags/list")[2])["tags"]


# Content management.


def test_a_tag_a_manifest_and_a_blob_are_deleted(client: Client, repo: str) -> None:
    digest = put(client, repo, "v1")
    put(client, repo, "v2")
    for path, still in (("manifests/v1", "manifests/v2"), (f"manifests/{digest}", f"blobs/{EMPTY['digest']}"),
                        (f"blobs/{EMPTY['digest']}", "tags/list")):
        assert client("DELETE", f"/v2/{repo}/{path}")[0] == 202
        assert client("HEAD", f"/v2/{repo}/{path}")[0] == 404
        assert client("DELETE", f"/v2/{repo}/{path}")[0] == 404
        assert client("GET", f"/v2/{repo}/{still}")[0] == 200
    assert json.loads(client("GET", f"/v2/{repo}/tags/list")[2])["tags"] == []


def test_deleting_what_is_not_there_is_404(client: Client, repo: str) -> None:
    client.blob(repo, b"{}")
    for path in (f"blobs/{NOWHERE}", f"manifests/{NOWHERE}", "manifests/none", "blobs/uploads/none"):
        assert client("DELETE", f"/v2/{repo}/{path}")[0] == 404
