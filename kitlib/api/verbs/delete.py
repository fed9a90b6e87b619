"""DELETE of one object."""

from __future__ import annotations

from kitlib.api import deletion, respond
from kitlib.api.call import Call
from kitlib.api.request import Response
from kitlib.api.verbs.get import find


def delete(call: Call) -> Response:
    options = deletion.read_options(call)
    found = find(call)
    respond.prepare(call.kind, [found])
    entry, gone = deletion.delete(call, found, options)
    return deletion.answer(call, entry, gone, call.api.strategies[call.kind.storage].returns_deleted)
