"""Answers: objects and lists in the form that the client asked for.

The fast way is no encoding at all: the store keeps every object's JSON beside it, so a GET hands out
those bytes and a list joins them.  Only transformed answers (Table, PartialObjectMetadata, another
version than the stored one) are encoded anew.

Source: k8s.io/apiserver/pkg/endpoints/handlers/response.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from kitlib.api import negotiate
from kitlib.api.call import Call
from kitlib.api.kind import Kind
from kitlib.api.negotiate import Form
from kitlib.api.request import Request, Response
from kitlib.objects.errors import StatusError, bad_request
from kitlib.store import Entry

INCLUDE = ("None", "Metadata", "Object", "")


def status(error: StatusError) -> Response:
    """A refusal."""
    headers = dict(error.headers)
    retry = error.status.get("details", {}).get("retryAfterSeconds")
    if retry:
        headers["Retry-After"] = str(retry)
    return Response(error.code, orjson.dumps(error.status), error.status, headers)


def success(code: int = 200, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A `Status` that says yes."""
    obj: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if details is not None:
        obj["details"] = details
    if code != 200:
        obj["code"] = code
    return obj


def json(obj: Any, code: int = 200, revision: int = 0) -> Response:
    return Response(code, orjson.dumps(obj), obj, revision=revision)


def text(body: str, code: int = 200) -> Response:
    return Response(code, body.encode(), body, content_type="text/plain; charset=utf-8")


def wanted(request: Request, collection: bool, streaming: bool = False) -> Form:
    """The form this request wants its answer in."""
    accept = request.headers.get("accept", "")
    if accept in ("", "application/json"):
        return negotiate.PLAIN
    return negotiate.form(accept, collection, streaming)


def view(kind: Kind, entry: Entry) -> dict[str, Any]:
    """The object in this kind's version.  Shared: never change it."""
    return entry.obj if kind.direct else convert(kind, entry.obj)


def convert(kind: Kind, stored: dict[str, Any]) -> dict[str, Any]:
    """A stored object in the form of another version."""
    if kind.direct or stored["apiVersion"] == kind.api_version:
        return stored
    obj = kind.from_storage(stored) if kind.from_storage else stored
    return {**obj, "apiVersion": kind.api_version, "kind": kind.kind}


def prepare(kind: Kind, found: Sequence[Entry]) -> None:
    """Have all of them converted by one call, where a webhook does that; raises Needed.  Before any write."""
    if kind.custom is not None and kind.custom.conversion is not None:
        kind.custom.conversion.need([e.obj for e in found], kind.api_version)


def to_storage(call: Call, obj: dict[str, Any]) -> dict[str, Any]:
    """An object of this kind's version as it is stored."""
    kind = call.kind
    if kind.storage_version:
        return obj  # also of a custom resource whose older objects still lie there in another version
    stored = kind.to_storage(obj) if kind.to_storage else obj
    storage_kind = call.api.registry.stored(kind.storage)
    assert storage_kind is not None
    if kind.custom is not None:
        convert(kind, stored)  # the answer will show it so; a webhook cannot be asked once it has been written
    return {**stored, "apiVersion": storage_kind.api_version, "kind": storage_kind.kind}


def entry(call: Call, found: Entry, code: int = 200, written: bool = False) -> Response:
    """One stored object."""
    form = wanted(call.request, collection=False)
    revision = found.revision if written else 0
    if form is negotiate.PLAIN and call.kind.direct and "pretty" not in call.request.query:
        return Response(code, found.data, found.obj, warnings=tuple(call.warnings), revision=revision)
    return obj(call, view(call.kind, found), code, revision, form)


def obj(call: Call, value: dict[str, Any], code: int = 200, revision: int = 0, form: Form | None = None) -> Response:
    """One object, stored or not."""
    form = form or wanted(call.request, collection=False)
    if form.as_ == "Table":
        value = table(call, form, [value], value.get("metadata", {}))
    elif form.partial:
        value = partial(value, form)
    return _encoded(call, value, code, revision, form)


def partial(value: Mapping[str, Any], form: Form) -> dict[str, Any]:
    """An object's metadata and nothing else."""
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{form.version}", "metadata": value["metadata"]}


def _encoded(call: Call, value: Any, code: int, revision: int, form: Form) -> Response:
    if form.media == "application/yaml":
        import yaml  # only for those who ask for it

        body = yaml.safe_dump(value, sort_keys=False, allow_unicode=True).encode()
    else:
        pretty = call.request.param("pretty") not in ("", "false", "0")
        body = orjson.dumps(value, option=orjson.OPT_INDENT_2 if pretty else None)
    return Response(code, body, value, warnings=tuple(call.warnings), content_type=form.media, revision=revision)


def entries(call: Call, found: Sequence[Entry], metadata: dict[str, Any], revision: int = 0) -> Response:
    """A list of stored objects."""
    kind, form = call.kind, wanted(call.request, collection=True)
    if form is not negotiate.PLAIN or not kind.direct:
        return objects(call, [view(kind, e) for e in found], metadata, form, revision)
    body = _joined(kind, found, metadata)
    listed = None
    if call.request.user is not None:  # a caller in this process: it gets the store's own objects
        listed = {"kind": kind.list_kind, "apiVersion": kind.api_version, "metadata": metadata,
                  "items": [e.obj for e in found]}
    return Response(200, body, listed, revision=revision)


def _joined(kind: Kind, found: Sequence[Entry], metadata: dict[str, Any]) -> bytes:
    """A list's JSON out of its items' JSON.  Megabytes: so every byte is copied once."""
    # Items of a built-in list carry no kind and apiVersion: their JSON begins after those two.
    head = b"{" if kind.typed_items else kind.json_head
    start, cut = b'{"kind":"%s","apiVersion":"%s","metadata":%s,"items":[' % (
        kind.list_kind.encode(), kind.api_version.encode(), orjson.dumps(metadata)), len(head)
    if not found:
        return start + b"]}"
    rests: list[bytes | memoryview] = [
        memoryview(e.data)[cut:] if e.data.startswith(head) else _untyped(e.data)[1:] for e in found]
    rests[0] = b"".join((start, b"{", rests[0]))
    rests[-1] = b"".join((rests[-1], b"]}"))
    return b",{".join(rests)


def _untyped(data: bytes) -> bytes:
    value = orjson.loads(data)
    return orjson.dumps({k: v for k, v in value.items() if k not in ("kind", "apiVersion")})


def objects(call: Call, items: Sequence[dict[str, Any]], metadata: dict[str, Any], form: Form | None = None,
            revision: int = 0) -> Response:
    """A list of objects in any form."""
    kind, form = call.kind, form or wanted(call.request, collection=True)
    if form.as_ == "Table":
        value = table(call, form, items, metadata)
    elif form.partial:
        value = {"kind": "PartialObjectMetadataList", "apiVersion": f"meta.k8s.io/{form.version}",
                 "metadata": metadata, "items": [partial(item, form) for item in items]}
    else:
        if not kind.typed_items:
            items = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in items]
        value = {"kind": kind.list_kind, "apiVersion": kind.api_version, "metadata": metadata, "items": list(items)}
    return _encoded(call, value, 200, revision, form)


def check_include(request: Request) -> str:
    include = request.param("includeObject")
    if include not in INCLUDE:
        raise bad_request(f"invalid includeObject value: {include}")
    return include or "Metadata"


def table(call: Call, form: Form, items: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]) -> dict[str, Any]:
    from kitlib.api import table as printer

    include = check_include(call.request)
    options = {"includeObject": include, "version": form.version, "now": call.api.clock.now()}
    result = printer.table(call.kind, items, options)
    kept = ("resourceVersion", "continue", "remainingItemCount")
    result["metadata"] = {key: metadata[key] for key in kept if metadata.get(key)}
    return result
