"""POST to a collection."""

from __future__ import annotations

from kitlib.api import decode, respond, writing
from kitlib.api.call import Call
from kitlib.api.request import Response


def create(call: Call) -> Response:
    entry = writing.create(call, decode.body(call))
    return respond.entry(call, entry, 201, written=True)
