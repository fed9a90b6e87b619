"""PUT of a whole object, or of one part of it (status and other subresources that have its form)."""

from __future__ import annotations

from typing import Any

from kitlib.api import decode, respond, writing
from kitlib.api.call import Call
from kitlib.api.request import Response
from kitlib.objects.errors import bad_request


def update(call: Call) -> Response:
    obj = decode.body(call)
    check_name(call, obj)
    old = call.api.store.get(call.kind.storage, call.namespace, call.name)
    if old is None:
        if not call.kind.create_on_update or call.subresource:
            raise call.not_found()
        call.api.authorizer.check_create(call.user, call.info)
        entry = writing.create(call, obj)
        return respond.entry(call, entry, 201, written=True)
    check_uid(call, obj, old.obj)
    entry, written = writing.update(call, old, obj)
    return respond.entry(call, entry, written=written)


def check_name(call: Call, obj: dict[str, Any]) -> None:
    """The body may leave out its name, but not give another one than the path."""
    meta = obj["metadata"]
    name = meta.setdefault("name", call.name)
    if not name:
        raise bad_request("name must be provided")
    if name != call.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.name})")


def check_uid(call: Call, obj: dict[str, Any], old: dict[str, Any]) -> None:
    """A uid in the body of a PUT is a precondition: this very object, not a namesake."""
    uid, found = obj["metadata"].get("uid"), old["metadata"].get("uid")
    if uid and uid != found:
        raise call.conflict(f"Precondition failed: UID in precondition: {uid}, UID in object meta: {found}")
