"""Moving a stopped cluster to other addresses, when somebody else has taken its own meanwhile.

A cluster's Services and Pods have addresses out of its slice, 127.X.0.0/16, and objects remember them in many
places (spec.clusterIP, podIP, endpoints).  No API call may change them; but before the API starts, what
is stored is just text, and an address of the slice cannot be anything else than an address of the slice.
"""

from __future__ import annotations

import orjson

from kitlib.network.addresses import Slice
from kitlib.store import Store


def readdress(store: Store, old: int, new: Slice) -> int:
    """Rewrite every address of slice `old` in every object; returns how many objects changed."""
    before, after = f'"127.{old}.'.encode(), f'"127.{new.number}.'.encode()
    changed = 0
    for resource in store.resources():
        for entry in store.list(resource):
            if before in entry.data:
                obj = orjson.loads(entry.data.replace(before, after))
                store.update(resource, entry.key.namespace, entry.key.name, obj)
                changed += 1
    return changed
