"""Server-side apply: who owns which field, and what happens when two want the same one.

Every writer has a name, the field manager.  Whoever *applies* says "these fields, and no others, are
mine"; the server remembers that in `metadata.managedFields`, and so it knows two things that a
client could not:

    live    {a: 1, b: 2}   one owns a, b        one applies {a: 1}
    result  {a: 1}                              b is removed: one let go of it, and nobody else owns it

    live    {a: 1}         two owns a           one applies {a: 5}
    result  409 Conflict, unless forced (then a is one's) or equal (then a is shared)

Ordinary writes (create, update, patch) never conflict: they take the fields that they change.
`track_update` records that, on every write, so it compares only what differs.

Source: KEP-555, k8s.io/apimachinery/pkg/util/managedfields/internal, structured-merge-diff/merge/update.go.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from kitlib.objects import fieldset, typed
from kitlib.objects.errors import StatusError, bad_request, cause
from kitlib.objects.fieldset import Tree
from kitlib.objects.managers import (
    Entry,
    Manager,
    in_order,
    less,
    make_entry,
    manager_of,
    readable,
    shown,
    take_over,
    with_entries,
    without_new_times,
)
from kitlib.objects.meta import with_annotations
from kitlib.objects.schema import TypeNode

__all__ = ["apply", "track_update", "without_new_times"]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

# What the server sets and what names the object belongs to nobody.
_UNOWNED_METADATA = frozenset(("name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation",
                               "managedFields", "resourceVersion"))


def track_update(old: Mapping[str, Any] | None, new: Mapping[str, Any], manager: str, schema: TypeNode, *,
                 time: str | None, subresource: str = "", ignored: Collection[str] = ()) -> dict[str, Any]:
    """`new` with managedFields after an ordinary write by `manager`.

    old: the live object, None for a create.  time: RFC 3339, or None to leave it out of the entry.
    ignored: top-level fields that this door does not write ("status" for the object itself).
    """
    entries = (old["metadata"].get("managedFields") if old is not None else None) or []
    sent = new["metadata"].get("managedFields")
    if sent is not None and sent != entries and not subresource:
        if len(sent) == 1 and not sent[0]:
            return with_entries(new, [])  # the way to clear the record
        if sent and readable(sent):
            entries = sent
    if not entries and old is not None:
        return with_entries(new, [])  # nobody tracks this object: apply starts the record
    changed, removed = _compare(old or {}, new, schema, ignored)
    if changed or removed:
        entries = take_over(entries, Manager(manager, "Update", new["apiVersion"], subresource), changed, removed, time)
    return with_entries(new, entries)


def apply(live: Mapping[str, Any] | None, applied: Mapping[str, Any], manager: str, schema: TypeNode, *,
          time: str | None, force: bool = False, subresource: str = "",
          ignored: Collection[str] = ()) -> dict[str, Any]:
    """The object after `manager` applied its configuration; not yet defaulted or validated.

    live: None if the object does not exist.  Raises 409 with all conflicts, unless `force`.
    """
    meta = applied.get("metadata")
    if not isinstance(meta, dict):
        raise bad_request("metadata must be an object")
    if meta.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    typed.check_unique(applied, schema)
    if live is None:
        live = {"apiVersion": applied["apiVersion"], "kind": applied["kind"], "metadata": {}}
    base = with_entries(live, [])
    entries = list(live["metadata"].get("managedFields") or [])
    if not entries:
        changed, _ = _compare({}, base, schema, ignored)
        if changed:
            entries.append(make_entry(Manager("before-first-apply", "Update", live["apiVersion"]), changed, time))
    owner = Manager(manager, "Apply", applied["apiVersion"], subresource)
    plan = _Apply(base, entries, applied, owner, schema, ignored)
    conflicts = plan.conflicts()
    if conflicts and not force and not (manager == "kubectl" and plan.from_client_side_apply(conflicts)):
        raise _refusal(conflicts)
    return plan.result(time)


@dataclass
class _Apply:
    """One apply in the making: the merged object, and what that changes for whom."""

    live: dict[str, Any]
    entries: list[Entry]
    applied: Mapping[str, Any]
    owner: Manager
    schema: TypeNode
    ignored: Collection[str]

    def __post_init__(self) -> None:
        self.last = next((entry for entry in self.entries if manager_of(entry) == self.owner), None)
        self.others = [entry for entry in self.entries if entry is not self.last]
        self.wanted = _ownable_fields(typed.field_set(self.applied, self.schema), self.ignored)
        self.merged = typed.merge(self.live, self.applied, self.schema)
        if self.last is not None and self.last["fieldsV1"]:
            self.merged = self._pruned(self.last["fieldsV1"])
        self.changed, self.removed = _compare(self.live, self.merged, self.schema, self.ignored)
        self.merged = typed.without_nulls(self.merged)

    def _named(self, fields: Tree) -> Tree:
        return typed.named_members(fields, self.schema)

    def _pruned(self, last: Tree) -> dict[str, Any]:
        """Take out what this manager applied last time, unless somebody (or this configuration) owns it now."""
        merged, schema = self.merged, self.schema
        last = self._named(last)
        fields = self._named(typed.field_set(merged, schema))
        owned = self._named(self.wanted)
        for entry in self.others:
            owned = fieldset.union(owned, self._named(entry["fieldsV1"]))
        kept = typed.remove(merged, last, schema) or {}
        kept_fields = fieldset.union(self._named(typed.field_set(kept, schema)), owned)
        kept = typed.remove(merged, fieldset.difference(fields, kept_fields), schema) or {}
        gone = fieldset.difference(fields, self._named(typed.field_set(kept, schema)))
        return typed.remove(merged, fieldset.intersection(gone, last), schema) or {}

    def conflicts(self) -> list[tuple[Manager, Tree]]:
        """Fields that others own and that would get another value."""
        found = [(manager_of(entry), fieldset.intersection(entry["fieldsV1"], self.changed)) for entry in self.others]
        return [(manager, fields) for manager, fields in found if fields]

    def from_client_side_apply(self, conflicts: list[tuple[Manager, Tree]]) -> bool:
        """Whether `kubectl apply` set these very fields from the client's side: then its server side takes over."""
        text = (self.live["metadata"].get("annotations") or {}).get(LAST_APPLIED, "")
        try:
            configuration = json.loads(text)
        except ValueError:
            return False
        if not isinstance(configuration, dict):
            return False
        changed, removed = typed.compare(configuration, self.live, self.schema)
        mine = typed.field_set(configuration, self.schema)
        mine = fieldset.difference(fieldset.difference(mine, changed or {}), removed or {})
        return not any(fieldset.difference(fields, mine) for _, fields in conflicts)

    def result(self, time: str | None) -> dict[str, Any]:
        if self.merged == self.live:
            time = self.last.get("time") if self.last is not None else None
        entries = [less(entry, self.changed, self.removed) for entry in self.others]
        entries.append(make_entry(self.owner, self.wanted, time))
        result = with_entries(self.merged, in_order(entry for entry in entries if entry["fieldsV1"]))
        if self.owner.name == "kubectl" and LAST_APPLIED in (result["metadata"].get("annotations") or {}):
            text = json.dumps(self.applied, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
            result = with_annotations(result, {LAST_APPLIED: text + "\n"})
        return result


def _refusal(conflicts: list[tuple[Manager, Tree]]) -> StatusError:
    listed = sorted((shown(manager), path) for manager, fields in conflicts for path in fieldset.paths(fields))
    if len(listed) == 1:
        message = f"Apply failed with 1 conflict: conflict with {listed[0][0]}: {listed[0][1]}"
    else:
        lines: list[str] = []
        for owner in dict.fromkeys(owner for owner, _ in listed):
            lines.append(f"conflicts with {owner}:")
            lines += [f"- {path}" for name, path in listed if name == owner]
        message = f"Apply failed with {len(listed)} conflicts: " + "\n".join(lines)
    causes = [cause("FieldManagerConflict", path, f"conflict with {owner}") for owner, path in listed]
    return StatusError(409, "Conflict", message, {"causes": causes})


def _compare(old: Mapping[str, Any], new: Mapping[str, Any], schema: TypeNode,
             ignored: Collection[str]) -> tuple[Tree, Tree]:
    """(changed, removed) of what can be owned at all."""
    return typed.compare_objects(_ownable(old, ignored), _ownable(new, ignored), schema)


def _ownable(obj: Mapping[str, Any], ignored: Collection[str]) -> dict[str, Any]:
    """The object without what belongs to nobody."""
    result = {key: value for key, value in obj.items() if key not in ignored}
    result.pop("kind", None)
    result.pop("apiVersion", None)
    metadata = {key: value for key, value in result.pop("metadata", {}).items() if key not in _UNOWNED_METADATA}
    if metadata:
        result["metadata"] = metadata
    return result


def _ownable_fields(fields: Tree, ignored: Collection[str]) -> Tree:
    """An applied set without what belongs to nobody."""
    fields = fieldset.without(fields, "apiVersion", "kind", *ignored)
    metadata = fields.get("f:metadata")
    if metadata is not None:
        metadata = fieldset.without(metadata, *_UNOWNED_METADATA, "")
        fields = {**fields, "f:metadata": metadata} if metadata else fieldset.without(fields, "metadata")
    return fields
