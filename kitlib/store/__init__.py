"""etcd's role: revisions, compare-and-swap, watch, and a log that survives `kill -9`.

Nothing in here knows what a Pod is.  The store keeps JSON objects under (resource, namespace, name)
and numbers every change; everything else in kitlib is built on those numbers.
"""

from kitlib.store.entry import Compacted, Entry, Event, Key, KeyExists, KeyMissing, RevisionConflict, StoreFull
from kitlib.store.store import Store
from kitlib.store.watch import Watch

__all__ = ["Compacted", "Entry", "Event", "Key", "KeyExists", "KeyMissing", "RevisionConflict", "Store", "StoreFull",
           "Watch"]
