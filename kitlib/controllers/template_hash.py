"""The hash in a ReplicaSet's name: the same Pod template always gives the same short word.

`web-8678d8d58b` is the Deployment's name and a hash of its Pod template, which also goes on the Pods as the label
`pod-template-hash`.  So two templates never share a ReplicaSet, and going back to an old template finds its old one.

The real controller hashes (FNV-1a, 32 bits) a dump of the Go struct, with every field of that release by name and
type: the value depends on the version of Kubernetes.  Ours is over the template's canonical JSON.  The alphabet and
the length are the same, the words are not.

Source: k8s.io/kubernetes/pkg/controller/controller_utils.go (ComputeHash), apimachinery's util/rand (SafeEncodeString).
"""

from __future__ import annotations

from typing import Any

import orjson

from kitlib.objects.meta import NAME_ALPHABET

FNV_OFFSET, FNV_PRIME = 2166136261, 16777619


def fnv32a(data: bytes) -> int:
    value = FNV_OFFSET
    for byte in data:
        value = ((value ^ byte) * FNV_PRIME) & 0xFFFFFFFF
    return value


def safe_encode(text: str) -> str:
    """Each character becomes one that cannot form a word."""
    return "".join(NAME_ALPHABET[ord(char) % len(NAME_ALPHABET)] for char in text)


def compute_hash(template: Any, collisions: int | None = None) -> str:
    """collisions: how often the name was found taken by another template; it goes into the hash."""
    data = orjson.dumps(template, option=orjson.OPT_SORT_KEYS)
    if collisions is not None:
        data += collisions.to_bytes(4, "little")
    return safe_encode(str(fnv32a(data)))
