"""GET of a collection: everything at one revision, whole or in pages.

A page's `continue` token says at which revision the list was begun and after which object the next
page starts, so that all pages show one and the same moment, however long the client takes:

    token = base64url({"v": "meta.k8s.io/v1", "rv": 1234, "start": "ns/name"})

Source: k8s.io/apiserver/pkg/storage/continue.go, pkg/storage/etcd3/store.go (GetList).
"""

from __future__ import annotations

import base64
from typing import Any

import orjson

from kitlib.api import respond
from kitlib.api.call import Call, parse_int
from kitlib.api.request import Response
from kitlib.api.selection import Selection, selection
from kitlib.api.versions import check_list_options, parse, too_large
from kitlib.objects.errors import StatusError, bad_request
from kitlib.store import Compacted, Entry

TOKEN_VERSION = "meta.k8s.io/v1"


def list_(call: Call) -> Response:
    check_list_options(call, watching=False)
    found, metadata = page(call, selection(call))
    return respond.entries(call, found, metadata)


def page(call: Call, selected: Selection) -> tuple[list[Entry], dict[str, Any]]:
    """The entries of this page and the list's metadata."""
    param, store = call.request.param, call.api.store
    limit, token, version = parse_int(param("limit") or "0", "limit"), param("continue"), param("resourceVersion")
    wanted = parse(version or "0")
    if wanted is None:
        raise bad_request(f'Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax')
    start, revision = None, 0
    if token:
        if version and version != "0":
            raise bad_request("specifying resource version is not allowed when using continue")
        start, revision = _read_token(token)
    elif version and version != "0":
        too_large(store, wanted)
        if param("resourceVersionMatch") == "Exact" or (limit and not param("resourceVersionMatch")):
            revision = wanted
    found = _at(call, revision, token)
    revision = revision or store.revision
    if start is not None:
        found = [entry for entry in found if (entry.key.namespace, entry.key.name) > start]
    if not selected.empty:
        kind = call.kind
        respond.prepare(kind, found)
        found = [entry for entry in found if selected.matches(respond.view(kind, entry))]
    metadata: dict[str, Any] = {"resourceVersion": str(revision)}
    if call.kind.typed_items:
        metadata["continue"] = ""
    if limit > 0 and len(found) > limit and not (version == "0" and not token):
        rest = len(found) - limit
        found = found[:limit]
        metadata["continue"] = _token(revision, found[-1])
        if selected.empty:
            metadata["remainingItemCount"] = rest
    respond.prepare(call.kind, found)
    return found, metadata


def _at(call: Call, revision: int, token: str) -> list[Entry]:
    kind, store, namespace = call.kind, call.api.store, call.info.namespace if call.kind.namespaced else None
    if not revision or revision == store.revision:
        return store.list(kind.storage, namespace or None)
    try:
        return store.list_at(kind.storage, namespace or None, revision)
    except Compacted:
        if not token:
            raise StatusError(410, "Expired", f"The resourceVersion for the provided list is too old: {revision}"
                              ) from None
        # The client may go on from the same object at the newest revision, if it can bear an inconsistent list.
        start, _ = _read_token(token)
        fresh = _encode(store.revision, "/".join(start))
        error = StatusError(410, "Expired", "The provided continue parameter is too old to display a consistent list "
                            "result. You can start a new list without the continue parameter, or use the continue "
                            "token in this response to retrieve the remainder of the results.")
        error.status["metadata"] = {"continue": fresh}
        raise error from None


def _token(revision: int, last: Entry) -> str:
    return _encode(revision, f"{last.key.namespace}/{last.key.name}")


def _encode(revision: int, start: str) -> str:
    text = orjson.dumps({"v": TOKEN_VERSION, "rv": revision, "start": start})
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _read_token(token: str) -> tuple[tuple[str, str], int]:
    try:
        value = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, _, name = value["start"].partition("/")
        revision = value["rv"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise bad_request(f"continue key is not valid: {token}") from None
    if not isinstance(revision, int) or revision <= 0:
        raise bad_request("continue key is not valid: incorrect encoded start resourceVersion")
    return (namespace, name), revision
