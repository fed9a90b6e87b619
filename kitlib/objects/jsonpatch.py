"""JSON patch: a list of operations, done in order, all or nothing.

    [{"op": "test", "path": "/data/k", "value": "v"}, {"op": "remove", "path": "/data/k"}]

A path is a JSON pointer (`~1` is a slash, `~0` a tilde; `-` is the place after a list's last
element).  Kubernetes' library bends RFC 6902 in ways that clients have come to rely on: `replace`
of a key that a map does not have adds it, a negative index counts from the end, and `test` with
null passes where nothing is.

Source: RFC 6901, RFC 6902, gopkg.in/evanphx/json-patch.v4, k8s.io/apiserver/pkg/endpoints/handlers/patch.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from kitlib.objects.errors import StatusError, bad_request
from kitlib.objects.meta import clone

MAX_OPERATIONS = 10_000
MAX_COPIED = 3 * 1024 * 1024  # bytes that all `copy`s of a patch may make: forty of them could double a map forty times
_NOTHING = object()


class _Failed(Exception):
    """An operation that cannot be done; becomes the 422 of the whole patch."""


def apply(obj: Mapping[str, Any], patch: Any) -> Any:
    """The patched object; `obj` stays as it is."""
    if not isinstance(patch, list) or not all(isinstance(operation, dict) for operation in patch):
        found = "object" if isinstance(patch, dict) else type(patch).__name__
        raise bad_request(f"json: cannot unmarshal {found} into Go value of type jsonpatch.Patch")
    if len(patch) > MAX_OPERATIONS:
        raise StatusError(413, "RequestEntityTooLarge", "The allowed maximum operations in a JSON patch is "
                          f"{MAX_OPERATIONS}, got {len(patch)}", {})
    document: Any = clone(dict(obj))
    copied = 0
    try:
        for operation in patch:
            if operation.get("op") == "copy":
                copied += _size(_source(document, operation))
                if copied > MAX_COPIED:
                    raise _Failed(f"unable to copy: the accumulated size exceeds the limit of {MAX_COPIED} bytes")
            document = _perform(document, operation)
    except _Failed as failure:
        # The real server hides the reason behind a general sentence; the empty details are part of its answer.
        raise StatusError(422, "Invalid", "the server rejected our request due to an error in our request",
                          {}) from failure
    return document


def _perform(document: Any, operation: dict[str, Any]) -> Any:
    name, path = operation.get("op"), operation.get("path")
    if not isinstance(path, str):
        raise _Failed("an operation needs a path")
    if name == "test":
        return _test(document, path, operation.get("value"))
    if name in ("add", "replace"):
        if "value" not in operation:
            raise _Failed(f"{name} needs a value")
        value = clone(operation["value"])
        return _replace(document, path, value) if name == "replace" else _add(document, path, value)
    if name == "remove":
        parent, key = _parent(document, path)
        _take(parent, key)
        return document
    if name in ("move", "copy"):
        value = clone(_source(document, operation))
        if name == "move":
            _take(*_parent(document, str(operation["from"])))
        return _add(document, path, value)
    raise _Failed(f"unexpected kind of operation: {name}")


def _size(value: Any) -> int:
    try:
        return len(orjson.dumps(value))
    except TypeError:  # deeper than it encodes: earlier operations have built a tower
        raise _Failed("the object is nested too deeply") from None


def _source(document: Any, operation: Mapping[str, Any]) -> Any:
    """What a `move` or `copy` is about."""
    value = _get(*_parent(document, str(operation.get("from", ""))))
    if value is _NOTHING:
        raise _Failed(f"nothing at {operation.get('from')}")
    return value


def _test(document: Any, path: str, expected: Any) -> Any:
    if path == "":
        found = document
    else:
        parent, key = _parent(document, path)
        found = _get(parent, key)
    if found is _NOTHING:
        found = None
    if not _same(found, expected):
        raise _Failed(f"testing value {path} failed")
    return document


def _same(a: Any, b: Any) -> bool:
    """Equality of JSON values: unlike Python's, true is not 1."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _add(document: Any, path: str, value: Any) -> Any:
    if path == "":
        return value
    parent, key = _parent(document, path)
    if isinstance(parent, dict):
        parent[key] = value
    elif key == "-":
        parent.append(value)
    else:
        parent.insert(_index(parent, key, len(parent)), value)
    return document


def _replace(document: Any, path: str, value: Any) -> Any:
    if path == "":
        return value
    parent, key = _parent(document, path)
    if isinstance(parent, dict):
        parent[key] = value
    else:
        parent[_index(parent, key, len(parent) - 1)] = value
    return document


def _take(parent: Any, key: str) -> None:
    if isinstance(parent, dict):
        if key not in parent:
            raise _Failed(f"unable to remove nonexistent key: {key}")
        del parent[key]
    else:
        del parent[_index(parent, key, len(parent) - 1)]


def _get(parent: Any, key: str) -> Any:
    if isinstance(parent, dict):
        return parent.get(key, _NOTHING)
    return parent[_index(parent, key, len(parent) - 1)]


def _parent(document: Any, path: str) -> tuple[Any, str]:
    """The map or list that holds a path's last step, and that step."""
    if not path.startswith("/"):
        raise _Failed(f"not a JSON pointer: {path!r}")
    *steps, last = [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]
    node = document
    for step in steps:
        if not isinstance(node, (dict, list)):
            break
        node = _get(node, step)
    if not isinstance(node, (dict, list)):
        raise _Failed(f"doc is missing path: {path}")
    return node, last


def _index(items: list[Any], key: str, largest: int) -> int:
    try:
        index = int(key)
    except ValueError:
        raise _Failed(f"not an index: {key!r}") from None
    if index < 0:
        index += largest + 1
    if not 0 <= index <= largest:
        raise _Failed(f"unable to access invalid index: {key}")
    return index
