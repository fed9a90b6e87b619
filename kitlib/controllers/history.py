"""ControllerRevisions: the past of a StatefulSet or DaemonSet.

A Deployment's past are its ReplicaSets.  These two own their Pods directly, so the templates they had are kept as
objects of their own, numbered and immutable; each Pod carries the label `controller-revision-hash` that says which
one it was made from.

Source: k8s.io/kubernetes/pkg/controller/history/controller_history.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kitlib.client.actions import Action, Create, Delete, Patch
from kitlib.objects.meta import owner_reference

Object = dict[str, Any]

REVISIONS = "controllerrevisions.apps"
POD_LABEL, HASH_LABEL = "controller-revision-hash", "controller.kubernetes.io/hash"


def find_or_make(owner: Object, revisions: Sequence[Object],
                 hash_of: Callable[[Object], str]) -> tuple[Object, list[Action]]:
    """The revision of the owner's template, and what has to be done so that it exists with the highest number.

    hash_of(data): the two kinds of owner do not hash the same thing.
    """
    template = owner["spec"]["template"]
    data = {"spec": {"template": {**template, "$patch": "replace"}}}
    ordered = sorted(revisions, key=lambda revision: revision["revision"])
    highest = ordered[-1]["revision"] if ordered else 0
    same = [revision for revision in ordered if revision["data"] == data]
    if not same:
        fresh = _new(owner, data, highest + 1, hash_of(data))
        return fresh, [Create(REVISIONS, fresh)]
    found = same[-1]
    if found["revision"] == highest:
        return found, []
    meta = found["metadata"]   # the template came back: it is the newest again
    patch = Patch(REVISIONS, meta["namespace"], meta["name"], {"revision": highest + 1})
    return found | {"revision": highest + 1}, [patch]


def template_of(revision: Object) -> Object:
    return {name: value for name, value in revision["data"]["spec"]["template"].items() if name != "$patch"}


def surplus(revisions: Sequence[Object], live: Iterable[str], limit: int | None) -> list[Action]:
    """Delete the oldest beyond the history limit; never one that is in use (`live`: names)."""
    in_use = set(live)
    past = sorted((r for r in revisions if r["metadata"]["name"] not in in_use), key=lambda r: r["revision"])
    old = past[:max(0, len(past) - (10 if limit is None else limit))]
    return [Delete(REVISIONS, r["metadata"]["namespace"], r["metadata"]["name"], uid=r["metadata"]["uid"]) for r in old]


def _new(owner: Object, data: Object, number: int, word: str) -> Object:
    meta = owner["metadata"]
    labels = (owner["spec"]["template"].get("metadata") or {}).get("labels") or {}
    return {"kind": "ControllerRevision", "apiVersion": "apps/v1", "data": data, "revision": number,
            "metadata": {"name": f"{meta['name']}-{word}", "namespace": meta["namespace"],
                         "labels": labels | {HASH_LABEL: word}, "ownerReferences": [owner_reference(owner)]}}
