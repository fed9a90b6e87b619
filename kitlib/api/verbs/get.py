"""GET of one object: its bytes, out of the store."""

from __future__ import annotations

from kitlib.api import respond
from kitlib.api.call import Call
from kitlib.api.request import Response
from kitlib.api.versions import parse, too_large
from kitlib.objects.errors import StatusError
from kitlib.store import Entry


def get(call: Call) -> Response:
    version = call.request.param("resourceVersion")
    if version:
        wanted = parse(version)
        if wanted is None:
            raise StatusError(500, None, f'strconv.ParseUint: parsing "{version}": invalid syntax')
        too_large(call.api.store, wanted)
    return respond.entry(call, find(call))


def find(call: Call, name: str = "") -> Entry:
    """The entry that the path names.  Raises 404."""
    found = call.api.store.get(call.kind.storage, call.namespace, name or call.name)
    if found is None:
        raise call.not_found(name)
    return found
