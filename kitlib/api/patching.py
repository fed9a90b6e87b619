"""Patches: four ways to say a change.

    application/json-patch+json              a list of operations
    application/merge-patch+json             an object; null removes
    application/strategic-merge-patch+json   the same, but lists of named things are merged (built-in kinds only)
    application/apply-patch+yaml             all that I want; the server works out the rest (server-side apply)

The first three read the newest object, change it, and write it back like a PUT; as nothing happens in
between, the client's own precondition (a resourceVersion in the patch) is the only possible conflict.

Source: k8s.io/apiserver/pkg/endpoints/handlers/patch.go.
"""

from __future__ import annotations

from typing import Any

from kitlib.api import decode
from kitlib.api.call import Call, invalid_options
from kitlib.api.shapes import shape_of
from kitlib.objects import field as problems
from kitlib.objects import jsonpatch, mergepatch, strategic
from kitlib.objects.errors import StatusError, bad_request

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


def media_type(call: Call) -> str:
    """The kind of patch.  Raises 415 for one that this resource does not take."""
    media = decode.media_type(call)
    accepted = [JSON, MERGE, APPLY] if call.kind.custom else [JSON, MERGE, STRATEGIC, APPLY]
    if media not in accepted:
        raise decode.unsupported(media, *accepted)
    return media


def check_force(call: Call) -> None:
    if call.request.param("force"):
        raise invalid_options("PatchOptions", [problems.forbidden("force", "may not be specified for non-apply patch")])


def raw(value: dict[str, Any], media: str, body: Any, node: Any) -> Any:
    """The patched value, not yet looked at."""
    if media == JSON:
        return decode.check_depth(jsonpatch.apply(value, body))
    if media == MERGE:
        return mergepatch.apply(value, body)
    return strategic.apply(value, body, node)


def patched_object(call: Call, before: dict[str, Any], media: str, body: Any) -> dict[str, Any]:
    """The object after the patch, decoded and defaulted.  Raises what the patch or its result does wrong."""
    shape = shape_of(call.kind)
    result = raw(before, media, body, None if call.kind.custom else shape.node)
    if not isinstance(result, dict):
        raise bad_request("a patch must leave an object")
    decode.check_kind(result, call.kind)
    obj, wrong, unknown = shape.decode(result)
    if wrong:
        raise rejected(wrong)
    try:
        decode.complain(call, unknown, [], shape)
    except StatusError as error:
        raise rejected(error.message) from None
    if obj["metadata"].get("name") != call.name:
        raise bad_request(f"the name of the object ({obj['metadata'].get('name')}) does not match the name on the "
                          f"URL ({call.name})")
    return obj


def rejected(why: str) -> StatusError:
    """422 for a patch whose result is not an object of the kind."""
    cause = problems.invalid("patch", "", why)
    return StatusError(422, "Invalid", f' "" is invalid: patch: {why}', {"causes": [cause]})
