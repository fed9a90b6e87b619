"""DELETE of a collection: each object of a selection, as if deleted one by one.

The answer lists the objects as they were before.
"""

from __future__ import annotations

from kitlib.api import deletion, respond
from kitlib.api.call import Call
from kitlib.api.request import Response
from kitlib.api.selection import selection
from kitlib.api.verbs.list import page


def deletecollection(call: Call) -> Response:
    options = deletion.read_options(call)
    found, metadata = page(call, selection(call))
    for entry in found:  # all of them before the first is gone: a webhook may still have to be asked
        call.api.admission.check_delete(call, entry.obj)
    for entry in found:
        current = call.api.store.get(*entry.key)
        if current is not None:
            deletion.delete(call, current, options, admit=False)
    return respond.entries(call, found, metadata, revision=call.api.store.revision)
