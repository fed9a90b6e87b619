"""`/namespaces/NAME/finalize`: how the namespace controller says that a namespace is empty."""

from __future__ import annotations

from kitlib.api import decode, respond, writing
from kitlib.api.call import Call
from kitlib.api.request import Response
from kitlib.api.verbs.get import find
from kitlib.api.verbs.update import check_name, check_uid


def finalize(call: Call) -> Response:
    obj = decode.body(call)
    check_name(call, obj)
    old = find(call)
    check_uid(call, obj, old.obj)
    entry, written = writing.update(call, old, obj)
    return respond.entry(call, entry, written=written)
