"""What every object has in common: names, owners, copies.

`ObjectMeta` is the one part that all kinds share.  Controllers find their children by it
(`ownerReferences` with `controller: true`), the API server fills it (uid, generated name), caches
key objects by it ("namespace/name").

Source: k8s.io/apimachinery/pkg/apis/meta/v1 (controller_ref.go), k8s.io/apiserver/pkg/storage/names.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from typing import Any

# Without vowels, so that no generated name is a word, and without what is easily confused (0/o, 1/l, 3).
NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5
MAX_GENERATED_BASE = 63 - SUFFIX_LENGTH

_random = random.Random(os.urandom(16))


def object_key(obj: Mapping[str, Any]) -> str:
    """"namespace/name", or "name" of a cluster-scoped object: the key of caches and work queues."""
    meta = obj["metadata"]
    namespace = meta.get("namespace")
    return f"{namespace}/{meta['name']}" if namespace else meta["name"]


def split_key(key: str) -> tuple[str, str]:
    """(namespace, name) of an object key; the namespace of a cluster-scoped object is empty."""
    namespace, _, name = key.rpartition("/")
    return namespace, name


def controller_of(obj: Mapping[str, Any]) -> dict[str, Any] | None:
    """The owner reference that manages this object: there is at most one with `controller: true`."""
    for reference in obj["metadata"].get("ownerReferences", ()):
        if reference.get("controller"):
            return reference
    return None


def is_controlled_by(obj: Mapping[str, Any], owner: Mapping[str, Any]) -> bool:
    """Whether `owner` (this very object, by uid: a namesake made later does not count) manages `obj`."""
    reference = controller_of(obj)
    return reference is not None and reference.get("uid") == owner["metadata"]["uid"]


def is_ready(obj: Mapping[str, Any]) -> bool:
    """Whether the condition Ready (of a Pod, a Node) is True."""
    return any(condition["type"] == "Ready" and condition["status"] == "True"
               for condition in (obj.get("status") or {}).get("conditions") or ())


def owner_reference(obj: Mapping[str, Any], controller: bool = True) -> dict[str, Any]:
    """A reference to `obj` for its child's `ownerReferences`; a controller also blocks foreground deletion."""
    meta = obj["metadata"]
    reference = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": meta["name"], "uid": meta["uid"]}
    if controller:
        reference["controller"] = True
        reference["blockOwnerDeletion"] = True
    return reference


def random_suffix(length: int = SUFFIX_LENGTH) -> str:
    return "".join(_random.choices(NAME_ALPHABET, k=length))


def generate_name(base: str) -> str:
    """`base` (cut so that the result is a label value) and five random characters."""
    return base[:MAX_GENERATED_BASE] + random_suffix()


def new_uid() -> str:
    """A random UUID (version 4), several times faster than `str(uuid.uuid4())`."""
    bits = _random.getrandbits(128) & ~(0xF000 << 64) & ~(0xC000 << 48) | (0x4000 << 64) | (0x8000 << 48)
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def clone(value: Any) -> Any:
    """A deep copy of JSON data.  What comes from the store or a cache is shared: copy it before a change."""
    if type(value) is dict:
        return {key: clone(item) if type(item) is dict or type(item) is list else item for key, item in value.items()}
    if type(value) is list:
        return [clone(item) if type(item) is dict or type(item) is list else item for item in value]
    return value


def with_fields(obj: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """A shallow copy of `obj` with top-level fields replaced; a value None removes the field."""
    return _replaced(obj, fields)


def with_metadata(obj: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """A copy of `obj` that shares all but its metadata, in which fields are replaced (None removes)."""
    return {**obj, "metadata": _replaced(obj["metadata"], fields)}


def with_labels(obj: Mapping[str, Any], labels: Mapping[str, str | None]) -> dict[str, Any]:
    """A copy of `obj` with labels set or, by None, removed."""
    return with_metadata(obj, labels=_replaced(obj["metadata"].get("labels") or {}, labels) or None)


def with_annotations(obj: Mapping[str, Any], annotations: Mapping[str, str | None]) -> dict[str, Any]:
    """A copy of `obj` with annotations set or, by None, removed."""
    return with_metadata(obj, annotations=_replaced(obj["metadata"].get("annotations") or {}, annotations) or None)


def _replaced(base: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    result = {**base, **fields}
    for key, value in fields.items():
        if value is None:
            del result[key]
    return result
