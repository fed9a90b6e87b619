"""`/status`: the part of an object that its controller writes.

Spec and status have different writers; two paths keep them from overwriting each other.  A write here
changes the status (and labels and annotations of built-in kinds), a write of the whole object
everything else.  `writing.prepare_update` holds that rule; the verbs are those of the whole object.
"""

from __future__ import annotations

from kitlib.api.call import Call
from kitlib.api.request import Answer
from kitlib.api.verbs.get import get
from kitlib.api.verbs.patch import patch
from kitlib.api.verbs.update import update


def status(call: Call) -> Answer:
    return {"get": get, "update": update, "patch": patch}[call.verb](call)
