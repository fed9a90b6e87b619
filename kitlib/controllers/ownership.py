"""Adopt and release: ownership follows labels.

Whose child an object is stands in the child, in `ownerReferences`.  Who *may* be its parent is said by the parent's
selector.  A controller brings the two together for everything it can see:

    owned by us, labels match         nothing to do
    owned by us, labels do not        release: remove our reference; the object lives on, alone
    owned by nobody, labels match     adopt: add our reference
    owned by somebody else            hands off, whatever the labels say

Source: k8s.io/kubernetes/pkg/controller/controller_ref_manager.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from kitlib.client.actions import Patch
from kitlib.controllers.pods import is_finished
from kitlib.objects.meta import is_controlled_by, owner_reference

Object = dict[str, Any]


def adopt_and_release(owner: Object, resource: str, candidates: Iterable[Object],
                      matching: Sequence[Object]) -> Iterator[Patch]:
    """Patches that make ownership of the candidates follow the labels.  An owner that is being deleted stands still."""
    if "deletionTimestamp" in owner["metadata"]:
        return
    matches = {child["metadata"]["uid"] for child in matching}
    for child in candidates:
        meta = child["metadata"]
        if is_controlled_by(child, owner):
            if meta["uid"] not in matches:
                yield _own(resource, child, {"$patch": "delete", "uid": owner["metadata"]["uid"]})
        elif meta["uid"] in matches and "deletionTimestamp" not in meta and not is_finished(child):
            yield _own(resource, child, owner_reference(owner))


def _own(resource: str, child: Object, reference: Object) -> Patch:
    """The uid in the patch makes it fail if another object has the name by now."""
    meta = child["metadata"]
    return Patch(resource, meta["namespace"], meta["name"],
                 {"metadata": {"ownerReferences": [reference], "uid": meta["uid"]}}, kind="strategic")
