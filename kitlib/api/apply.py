"""Server-side apply: PATCH with `application/apply-patch+yaml`.

The body is the client's whole intention; the server works out what that changes, who owns what, and
whether somebody else disagrees.  What does not exist is created.

Source: k8s.io/apiserver/pkg/endpoints/handlers/patch.go (applyPatcher); KEP-555.
"""

from __future__ import annotations

from typing import Any

from kitlib.api import decode, ownership, respond, writing
from kitlib.api.call import Call, invalid_options
from kitlib.api.kind import Kind
from kitlib.api.request import Response
from kitlib.api.routing import TRUE
from kitlib.api.shapes import shape_of
from kitlib.objects import field as problems
from kitlib.objects.errors import StatusError, bad_request
from kitlib.objects.meta import clone


def apply(call: Call) -> Response:
    applied = _body(call, call.kind)
    store = call.api.store
    old = store.get(call.kind.storage, call.namespace, call.name)
    force = call.request.param("force") in TRUE
    if old is None:
        if call.subresource:
            raise call.not_found()
        if applied["metadata"].get("uid"):
            raise call.conflict("uid mismatch: the provided object specified uid "
                                f"{applied['metadata']['uid']}, and no existing object was found")
        applied["metadata"].pop("resourceVersion", None)
        call.api.authorizer.check_create(call.user, call.info)
        obj = _finished(call, ownership.apply(call, None, applied, force))
        entry = writing.create(call, obj, tracked=True)
        return respond.entry(call, entry, 201, written=True)
    live = respond.view(call.kind, old)
    version = applied["metadata"].pop("resourceVersion", "")
    result = ownership.apply(call, live, applied, force)
    obj = _finished(call, result)
    if version:
        obj["metadata"]["resourceVersion"] = version
    entry, written = writing.update(call, old, obj, tracked=True)
    return respond.entry(call, entry, written=written)


def apply_scale(call: Call, live: dict[str, Any]) -> dict[str, Any]:
    """The Scale that an apply to /scale asks for."""
    from kitlib.api.subresources.scale import SCALE

    applied = _body(call, SCALE)
    made, wrong, _ = shape_of(SCALE).decode({**live, "spec": applied.get("spec", {})})
    if wrong:
        raise StatusError(500, None, wrong)
    return made


def _body(call: Call, kind: Kind) -> dict[str, Any]:
    """The configuration, checked as far as it goes without the live object."""
    if not call.request.param("fieldManager"):
        raise invalid_options("PatchOptions", [problems.required("fieldManager", "is required for apply patch")])
    if call.request.obj is not None:
        raw = clone(call.request.obj)
    else:
        raw = _parse(decode.check_size(call.request.body))
    if not isinstance(raw, dict):
        raise bad_request("error decoding YAML: an object is wanted")
    if not raw.get("apiVersion") or not raw.get("kind"):
        raise bad_request("Object 'Kind' is missing in the body")
    decode.check_kind(raw, kind)
    meta = raw.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    name = meta.get("name")
    if not name:
        raise bad_request("name must be provided")
    if name != call.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.name})")
    if meta.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    _, wrong, unknown = shape_of(kind).decode(raw)
    if wrong or unknown:
        # The typed converter of the field manager refuses these, and no handler gives its error a reason.
        what = wrong or ".".join(unknown) + ": field not declared in schema"
        raise StatusError(500, None, f"failed to create typed patch object ({call.namespace}/{name}; "
                          f"{kind.api_version}, Kind={kind.kind}): {what}")
    return raw


def _parse(data: bytes) -> Any:
    if data.lstrip()[:1] == b"{":
        try:
            value, repeated = decode.read_json(data, want_repeated=True)
        except StatusError:
            value, repeated = decode.read_yaml(data)  # flow style: looks like JSON, is not
    else:
        value, repeated = decode.read_yaml(data)
    if repeated:
        raise StatusError(500, None, f'error decoding YAML: duplicate field "{repeated[0]}"')
    return value


def _finished(call: Call, obj: dict[str, Any]) -> dict[str, Any]:
    """The merged object, type-checked and defaulted."""
    made, wrong, _ = shape_of(call.kind).decode(obj)
    if wrong:
        raise StatusError(500, None, wrong)
    return made
