"""Strategic merge patch: a patch by example that knows what lists mean.

Lists whose type names a merge key are merged element by element instead of being replaced, and
directives inside the patch say what an example cannot:

    containers: [{name: b, $patch: delete}]              take element b out
    containers: [{$patch: replace}, {name: z}]           these and no others
    strategy: {$patch: replace, type: Recreate}          this map and nothing else
    $setElementOrder/containers: [{name: b}, {name: a}]  the order of the result
    $deleteFromPrimitiveList/finalizers: [x]             take plain values out
    strategy: {$retainKeys: [type], type: Recreate}      only these keys survive

Where the elements of the patch and those only the server has meet, both keep their order and a new
element goes in front of an untouched one it cannot be compared with.  Custom resources have no merge
keys, so the API does not offer this patch for them.

Source: k8s.io/apimachinery/pkg/util/strategicpatch, k8s.io/apiserver/pkg/endpoints/handlers/patch.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kitlib.objects.errors import StatusError, bad_request
from kitlib.objects.meta import clone
from kitlib.objects.schema import ANY, TypeNode

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE_FROM = "$deleteFromPrimitiveList/"


def apply(obj: Mapping[str, Any], patch: Any, schema: TypeNode) -> dict[str, Any]:
    """The patched object; `obj` stays as it is, what did not change is shared with it."""
    if not isinstance(patch, dict):
        kind = "array" if isinstance(patch, list) else type(patch).__name__
        raise bad_request(f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
    return _merge_map(obj, patch, schema)


def _failed(message: str) -> StatusError:
    """The real server lets these mistakes through to its outermost handler: 500 without a reason."""
    return StatusError(500, None, message)


def _merge_map(original: Mapping[str, Any] | None, patch: dict[str, Any], node: TypeNode) -> dict[str, Any]:
    if _DIRECTIVE in patch:
        return _directed_map(patch)
    result = dict(original or {})
    pending = dict(patch)
    _retain_keys(result, pending)
    for key in [key for key in pending if key.startswith(_ORDER)]:
        _merge_ordered(result, pending, key, node)
    for key, value in pending.items():
        name = key.removeprefix(_DELETE_FROM)
        if name != key:
            _delete_from(result, name, key, value)
        elif value is None:
            result.pop(key, None)
        elif key not in result or not _same_shape(result[key], value):
            result[key] = _without_directives(value)
        elif isinstance(value, dict):
            result[key] = _merge_field(result[key], value, _child(node, key))
        elif isinstance(value, list):
            result[key] = _merge_list(result[key], value, _child(node, key))
        else:
            result[key] = value
    return result


def _same_shape(a: Any, b: Any) -> bool:
    return isinstance(a, dict) == isinstance(b, dict) and isinstance(a, list) == isinstance(b, list)


def _child(node: TypeNode, name: str) -> TypeNode:
    return node.child(name) or ANY


def _directed_map(patch: dict[str, Any]) -> dict[str, Any]:
    directive = patch[_DIRECTIVE]
    if directive == "replace":
        return _without_directives({key: value for key, value in patch.items() if key != _DIRECTIVE})
    if directive == "delete":
        return {}
    raise _failed(f"unknown patch type: {directive} in map: {patch}")


def _retain_keys(result: dict[str, Any], pending: dict[str, Any]) -> None:
    if _RETAIN not in pending:
        return
    retained = pending.pop(_RETAIN)
    mentioned = {key for key, value in pending.items()
                 if value is not None and not key.startswith((_ORDER, _DELETE_FROM))}
    if not isinstance(retained, list) or not mentioned.issubset(map(str, retained)):
        raise bad_request("invalid patch format of retainKeys")
    for key in [key for key in result if key not in retained]:
        del result[key]


def _delete_from(result: dict[str, Any], name: str, key: str, values: Any) -> None:
    if not isinstance(values, list):
        raise bad_request(f"invalid patch format of primitive list: {key}")
    if isinstance(result.get(name), list):
        result[name] = [item for item in result[name] if item not in values]


def _merge_field(original: dict[str, Any], patch: dict[str, Any], node: TypeNode) -> dict[str, Any]:
    if "replace" in node.patch_strategy:
        return _without_directives(patch)
    return _merge_map(original, patch, node)


def _merge_list(original: list[Any], patch: list[Any], node: TypeNode) -> list[Any]:
    """Merge by the type's merge key, or as a set of plain values, or (the default) replace."""
    if "merge" not in node.patch_strategy:
        return _without_directives(patch)
    if not original and not patch:
        return original
    kind = type((patch or original)[0])
    if kind is list:
        raise _failed("lists of lists are not supported")
    if any(type(item) is not kind for item in (*original, *patch)):
        raise _failed("list element types are not identical")
    if kind is not dict:
        return _in_order(list(dict.fromkeys([*original, *patch])), patch, original, "")
    key = node.merge_key
    if key is None:
        raise _failed(f"cannot merge lists without merge key for {node.name}")
    original, patch = _special_elements(original, patch, key)
    merged = list(original)
    for element in patch:
        at = _position(merged, element, key)
        if at < 0:
            merged.append(_without_directives(element))
        else:
            merged[at] = _merge_map(merged[at], element, node.items or ANY)
    return _in_order(merged, patch, original, key)


def _special_elements(original: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """Carry out the elements that are directives; what is left of the original and of the patch."""
    plain, replace = [], False
    for element in patch:
        directive = element.get(_DIRECTIVE)
        if directive is None:
            plain.append(element)
        elif directive == "delete":
            wanted = _key_of(element, key)
            original = [item for item in original if item.get(key) != wanted]
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise _failed("merging lists cannot yet be specified in the patch")
        else:
            raise _failed(f"unknown patch type: {directive} in map: {element}")
    return ([_without_directives(item) for item in plain], []) if replace else (original, plain)


def _key_of(element: Any, key: str) -> Any:
    if not isinstance(element, dict) or key not in element:
        raise _failed(f"map: {element} does not contain declared merge key: {key}")
    return element[key]


def _position(items: list[Any], element: Any, key: str) -> int:
    """Where the list has this element (by its merge key, or itself if it is a plain value), or -1."""
    if key:
        wanted = _key_of(element, key)
        return next((i for i, item in enumerate(items) if _key_of(item, key) == wanted), -1)
    return items.index(element) if element in items else -1


def _in_order(merged: list[Any], patch_order: list[Any], server_order: list[Any], key: str) -> list[Any]:
    """The patch's elements in its order and the server's others in theirs, interleaved by the server's order."""
    ours = [item for item in merged if _position(patch_order, item, key) >= 0]
    theirs = [item for item in merged if _position(patch_order, item, key) < 0]
    ours.sort(key=lambda item: _position(patch_order, item, key))
    ordered: list[Any] = []
    while ours and theirs:
        left, right = _position(server_order, theirs[0], key), _position(server_order, ours[0], key)
        ordered.append((theirs if 0 <= left < right else ours).pop(0))
    return ordered + ours + theirs


def _merge_ordered(result: dict[str, Any], pending: dict[str, Any], directive: str, node: TypeNode) -> None:
    """`$setElementOrder/NAME` together with the list NAME of the patch, which is then done."""
    order, name = pending.pop(directive), directive.removeprefix(_ORDER)
    if not isinstance(order, list):
        raise bad_request("invalid patch format of setElementOrder list")
    field, found, sent = _child(node, name), result.get(name), pending.get(name)
    if node.kind == "object" and node.child(name) is None:
        raise _failed(f'unable to find api field in struct {node.name} for the json field "{name}"')
    if (sent is None and name in pending) or not (isinstance(found, list) or isinstance(sent, list)):
        return
    key = field.merge_key or ""
    original = found if isinstance(found, list) else []
    if isinstance(sent, list):
        _check_order(sent, order, key)
        merged = _merge_list(original, sent, field) if original else _without_directives(sent)
        del pending[name]
    else:
        merged = original
    result[name] = _in_order(merged, order, original, key)


def _check_order(sent: list[Any], order: list[Any], key: str) -> None:
    """Every element of the patch's list must occur in the order list, in the same sequence."""
    at = 0
    for element in sent:
        if key and isinstance(element, dict) and _DIRECTIVE in element:
            continue
        found = _position(order[at:], element, key)
        if found < 0:
            raise _failed(f"The order in patch list:\n{sent}\n doesn't match {_ORDER.rstrip('/')} list:\n{order}\n")
        at += found + 1


def _without_directives(value: Any) -> Any:
    """A value that the object did not have: nulls and directives have nothing to act on."""
    if isinstance(value, dict):
        if value.get(_DIRECTIVE) == "delete":
            return {}
        return {key: _without_directives(item) for key, item in value.items()
                if item is not None and key not in (_DIRECTIVE, _RETAIN) and not key.startswith((_ORDER, _DELETE_FROM))}
    if isinstance(value, list):
        return [_without_directives(item) for item in value
                if not (isinstance(item, dict) and item.get(_DIRECTIVE) in ("delete", "replace"))]
    return clone(value)
