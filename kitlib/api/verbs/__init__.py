"""The verbs of the API, one file each: what GET, POST, PUT, PATCH and DELETE do to any kind."""

from __future__ import annotations

from collections.abc import Callable

from kitlib.api.call import Call
from kitlib.api.request import Answer
from kitlib.api.verbs.create import create
from kitlib.api.verbs.delete import delete
from kitlib.api.verbs.deletecollection import deletecollection
from kitlib.api.verbs.get import get
from kitlib.api.verbs.list import list_
from kitlib.api.verbs.patch import patch
from kitlib.api.verbs.update import update
from kitlib.api.watch import watch

VERBS: dict[str, Callable[[Call], Answer]] = {
    "get": get, "list": list_, "watch": watch, "create": create, "update": update, "patch": patch, "delete": delete,
    "deletecollection": deletecollection,
}
