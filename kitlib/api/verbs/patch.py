"""PATCH: read the newest object, change it, and write it back like a PUT."""

from __future__ import annotations

from kitlib.api import apply, decode, patching, respond, writing
from kitlib.api.call import Call
from kitlib.api.request import Response
from kitlib.api.verbs.get import find


def patch(call: Call) -> Response:
    media = patching.media_type(call)
    if media == patching.APPLY:
        return apply.apply(call)
    patching.check_force(call)
    body = decode.plain(call)
    old = find(call)
    obj = patching.patched_object(call, respond.view(call.kind, old), media, body)
    entry, written = writing.update(call, old, obj)
    return respond.entry(call, entry, written=written)
