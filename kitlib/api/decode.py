"""Request bodies: from bytes to a typed, defaulted object.

    bytes ──▶ JSON, YAML 1.1 or protobuf ──▶ right kind? ──▶ schema: types, unknown fields, defaults

What the client got wrong without harm (unknown and repeated fields) is ignored, warned of or refused,
as `fieldValidation` says; the default is to warn.

Source: k8s.io/apiserver/pkg/endpoints/handlers/{create,update}.go, sigs.k8s.io/yaml, sigs.k8s.io/json.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from kitlib.api.call import Call
from kitlib.api.kind import Kind
from kitlib.api.shapes import Shape, shape_of
from kitlib.objects.errors import StatusError, bad_request
from kitlib.objects.meta import clone

LIMIT = 3 * 1024 * 1024  # bytes of a body, as of kube-apiserver
JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
MAX_WARNINGS_BYTES = 4096
MAX_DEPTH = 200  # orjson encodes 254; lists, watch events and managedFields put some more around an object
_SPACED_KEY = re.compile(rb'"\s+:')


def body(call: Call, kind: Kind | None = None) -> dict[str, Any]:
    """The object in the body, decoded as `kind` (default: the call's own), defaulted, and ours to change."""
    kind = kind or call.kind
    shape = shape_of(kind)
    raw, repeated = _read(call, shape)
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise bad_request(f"couldn't get version/kind; json parse error: json: cannot unmarshal "
                          f"{'array' if isinstance(raw, list) else 'string'} into Go value of type struct")
    check_kind(raw, kind)
    return finish(call, shape, raw, repeated)


def finish(call: Call, shape: Shape, raw: dict[str, Any], repeated: list[str]) -> dict[str, Any]:
    """Type-check and default a raw object; raise 400, or warn, about what it should not contain."""
    obj, wrong, unknown = shape.decode(raw)
    if wrong:
        raise bad_request(f'{shape.name} in version "{shape.version}" cannot be handled as a {shape.name}: {wrong}')
    complain(call, unknown, repeated, shape)
    return obj


def complain(call: Call, unknown: list[str], repeated: list[str], shape: Shape) -> None:
    """Handle unknown and repeated fields as `fieldValidation` says."""
    if not unknown and not repeated:
        return
    validation = call.request.param("fieldValidation") or ("Warn" if call.request.user is None else "Ignore")
    if validation == "Ignore":
        return
    texts = [f'unknown field "{path}"' for path in unknown] + [f'duplicate field "{path}"' for path in repeated]
    if validation == "Strict":
        raise bad_request(f'{shape.name} in version "{shape.version}" cannot be handled as a {shape.name}: '
                          f"strict decoding error: {', '.join(texts)}")
    room = MAX_WARNINGS_BYTES
    for text in texts:
        room -= len(text)
        if room < 0:
            break
        call.warnings.append(text)


def check_kind(raw: dict[str, Any], kind: Kind) -> None:
    """The body's apiVersion and kind must be the path's; a built-in kind may leave them out."""
    version, name = raw.get("apiVersion"), raw.get("kind")
    for value in (version, name):
        if value is not None and not isinstance(value, str):
            raise bad_request("couldn't get version/kind; json parse error: json: cannot unmarshal into a string")
    if kind.custom and not (version and name):
        missing = "Kind" if not name else "apiVersion"
        raise bad_request(f"Object '{missing}' is missing in the body")
    if (name and name != kind.kind) or (version and version != kind.api_version):
        raise bad_request(f"{name or kind.kind} in version {version or kind.api_version!r} cannot be handled as a "
                          f"{kind.kind}: no kind matches")


def media_type(call: Call) -> str:
    return call.request.headers.get("content-type", JSON).split(";", 1)[0].strip().lower() or JSON


def unsupported(found: str, *accepted: str) -> StatusError:
    return StatusError(415, "UnsupportedMediaType", "the body of the request was in an unknown format - accepted media "
                       f"types include: {', '.join(accepted or (JSON, YAML, PROTOBUF))} (found {found})")


def _read(call: Call, shape: Shape | None) -> tuple[Any, list[str]]:
    """The body as plain data, and the paths of its repeated fields."""
    request = call.request
    if request.obj is not None:
        return request.obj, []
    media = media_type(call)
    data = check_size(request.body)
    if media == JSON:
        if not data.strip():
            raise bad_request("EOF")
        return read_json(data, call.request.param("fieldValidation") != "Ignore")
    if media == YAML:
        return read_yaml(data)
    if media == PROTOBUF and shape is not None and not shape.custom:
        return check_depth(shape.protobuf(data)), []
    raise unsupported(media)


def check_size(data: bytes) -> bytes:
    if len(data) > LIMIT:
        raise StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {LIMIT}")
    return data


def read_json(data: bytes, want_repeated: bool = False) -> tuple[Any, list[str]]:
    """Decode JSON.  Repeated fields (the last one wins) are searched for only where there must be some."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"error decoding JSON: {error}") from None
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH:
        check_depth(value)
    if want_repeated and (data.count(b'":') != orjson.dumps(value).count(b'":') or _SPACED_KEY.search(data)):
        return _with_repeated(data, value)
    return value, []


def check_depth(value: Any) -> Any:
    """The value, unless collections lie too deep inside each other: what could not be encoded must not be stored."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for node in level if isinstance(node, (dict, list))
                 for child in (node.values() if isinstance(node, dict) else node)]
        if not level:
            return value
    raise bad_request("the object is nested too deeply")


class _Pairs(dict):  # type: ignore[type-arg]
    """A JSON object that remembers which of its keys came twice."""

    twice: tuple[str, ...] = ()


def _pairs(items: list[tuple[str, Any]]) -> _Pairs:
    result, twice = _Pairs(), []
    for key, item in items:
        if key in result:
            twice.append(key)
        # Go decodes the second object into the same map or struct.
        merged = isinstance(item, dict) and isinstance(result.get(key), dict)
        result[key] = {**result[key], **item} if merged else item
    result.twice = tuple(twice)
    return result


def _with_repeated(data: bytes, value: Any) -> tuple[Any, list[str]]:
    """The value as Go reads it, and the paths of the fields that occur twice."""
    found: list[str] = []

    def walk(node: Any, path: str) -> None:
        if isinstance(node, _Pairs):
            found.extend(f"{path}{key}" for key in node.twice)
        if isinstance(node, dict):
            for key, item in node.items():
                walk(item, f"{path}{key}.")
        elif isinstance(node, list):
            for index, item in enumerate(node):
                walk(item, f"{path.rstrip('.')}[{index}].")

    try:
        pairs = json.loads(data, object_pairs_hook=_pairs)
    except ValueError:  # orjson took what the standard library does not; then nothing is known about repetitions
        return value, []
    walk(pairs, "")
    return (orjson.loads(orjson.dumps(pairs)), found) if found else (value, [])


def read_yaml(data: bytes) -> tuple[Any, list[str]]:
    """Decode YAML 1.1 the way kubectl and the API server do."""
    from kitlib.api.yaml11 import YamlError, load

    try:
        value, repeated = load(data)
    except YamlError as error:
        raise bad_request(f"error converting YAML to JSON: {error}") from None
    return check_depth(value), repeated


def plain(call: Call) -> Any:
    """The body as plain data, without looking at its kind (patches)."""
    value, _ = read_json(check_size(call.request.body)) if call.request.obj is None else (call.request.obj, [])
    return clone(value)


def delete_options(call: Call) -> dict[str, Any]:
    """The DeleteOptions in a body; {} for an empty one."""
    shape = shape_of(DELETE_OPTIONS)
    raw, _ = _read(call, shape)
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise bad_request("couldn't get version/kind; json parse error")
    kind = raw.get("kind", "DeleteOptions")
    if kind != "DeleteOptions":
        raise bad_request(f"{kind} cannot be handled as a DeleteOptions")
    # Every group registers DeleteOptions under its own version; its form is always the same.
    obj, wrong, _ = shape.decode({**raw, "apiVersion": "v1", "kind": "DeleteOptions"})
    if wrong:
        raise bad_request(f"DeleteOptions cannot be decoded: {wrong}")
    return obj


DELETE_OPTIONS = Kind("", "v1", "DeleteOptions", "deleteoptions", virtual=True)
