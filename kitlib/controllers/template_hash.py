"""The hash in a name: the same template always gives the same short word, and the same word as on a real cluster.

`web-8678d8d58b` is the Deployment's name and a hash of its Pod template, which also goes on the Pods as the label
`pod-template-hash`.  So two templates never share a ReplicaSet, and going back to an old template finds its old one.

    Deployment, DaemonSet   FNV-1a over the Go dump of the template (`go_dump.py`)
    StatefulSet             FNV-1 over the JSON of the ControllerRevision

Because Go's dump has every field of the release, a new version of Kubernetes changes all the words: these are 1.36's.
If a name is taken by another template all the same, the collision is counted and hashed in.

Source: k8s.io/kubernetes/pkg/controller/controller_utils.go (ComputeHash), history/controller_history.go,
apimachinery's util/rand (SafeEncodeString).
"""

from __future__ import annotations

from typing import Any

import orjson

from kitlib.controllers.go_dump import dump
from kitlib.objects.meta import NAME_ALPHABET

FNV_OFFSET, FNV_PRIME = 2166136261, 16777619
HTML_ESCAPED = ((b"&", b"\\u0026"), (b"<", b"\\u003c"), (b">", b"\\u003e"))   # as Go writes JSON


def fnv32a(data: bytes) -> int:
    value = FNV_OFFSET
    for byte in data:
        value = ((value ^ byte) * FNV_PRIME) & 0xFFFFFFFF
    return value


def fnv32(data: bytes) -> int:
    value = FNV_OFFSET
    for byte in data:
        value = ((value * FNV_PRIME) & 0xFFFFFFFF) ^ byte
    return value


def safe_encode(text: str) -> str:
    """Each character becomes one that cannot form a word."""
    return "".join(NAME_ALPHABET[ord(char) % len(NAME_ALPHABET)] for char in text)


def compute_hash(template: Any, collisions: int | None = None) -> str:
    """The hash of a Pod template; collisions: how often the name was found taken by another one."""
    data = dump(template).encode()
    if collisions is not None:
        data += collisions.to_bytes(8, "little")
    return safe_encode(str(fnv32a(data)))


def revision_hash(data: Any, collisions: int = 0) -> str:
    """The hash of a StatefulSet's ControllerRevision."""
    text = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
    for char, escaped in HTML_ESCAPED:
        text = text.replace(char, escaped)
    return safe_encode(str(fnv32(text + str(collisions).encode())))
