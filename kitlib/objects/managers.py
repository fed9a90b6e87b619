"""`metadata.managedFields`: one entry per manager, operation, version and subresource.

    {"manager": "kubectl", "operation": "Apply", "apiVersion": "v1", "time": "...",
     "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:k": {}}}}

Entries are values: a change makes a new entry, so objects in the store share those that stay.

Source: k8s.io/apimachinery/pkg/util/managedfields/internal (managedfields.go, capmanagers.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from kitlib.objects import fieldset
from kitlib.objects.fieldset import Tree

Entry = dict[str, Any]

MAX_UPDATE_MANAGERS = 10
ANCIENT = "ancient-changes"


class Manager(NamedTuple):
    """Whose entry it is."""

    name: str
    operation: str  # Apply or Update
    api_version: str
    subresource: str = ""


def manager_of(entry: Entry) -> Manager:
    return Manager(entry.get("manager", ""), entry["operation"], entry["apiVersion"], entry.get("subresource", ""))


def make_entry(manager: Manager, fields: Tree, time: str | None) -> Entry:
    entry: Entry = {"manager": manager.name, "operation": manager.operation, "apiVersion": manager.api_version}
    if time:
        entry["time"] = time
    entry["fieldsType"] = "FieldsV1"
    entry["fieldsV1"] = fields
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry


def readable(entries: Any) -> bool:
    """Whether entries that a client sent can be used as the record."""
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and entry.get("operation") in ("Apply", "Update") and entry.get("apiVersion")
        and isinstance(entry.get("manager", ""), str) and fieldset.valid(entry.get("fieldsV1")) for entry in entries)


def shown(manager: Manager) -> str:
    """A manager as the sentence about a conflict names it."""
    text = orjson.dumps(manager.name).decode()
    if manager.subresource:
        text += f' with subresource "{manager.subresource}"'
    return f"{text} using {manager.api_version}" if manager.operation == "Update" else text


def less(entry: Entry, changed: Tree, removed: Tree) -> Entry:
    """The entry without fields that somebody else changed or that are gone."""
    fields = fieldset.difference(fieldset.difference(entry["fieldsV1"], changed), removed)
    return entry if fields == entry["fieldsV1"] else {**entry, "fieldsV1": fields}


def take_over(entries: list[Entry], manager: Manager, changed: Tree, removed: Tree, time: str | None) -> list[Entry]:
    """The record after an ordinary write: the writer owns what it changed, nobody what it removed."""
    result: list[Entry] = []
    fields = changed
    for entry in entries:
        if manager_of(entry) == manager:
            fields = fieldset.union(fieldset.difference(entry["fieldsV1"], removed), changed)
            time = time if changed else entry.get("time")
        else:
            kept = less(entry, changed, removed)
            if kept["fieldsV1"]:
                result.append(kept)
    if fields:
        result.append(make_entry(manager, fields, time))
    return in_order(_capped(result) if len(result) > MAX_UPDATE_MANAGERS else result)


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Appliers first, then by time and name."""
    return sorted(entries, key=_rank)


def _rank(entry: Entry) -> tuple[str, str, str, str, str]:
    return (entry["operation"], entry.get("time") or "", entry.get("manager", ""), entry["apiVersion"],
            entry.get("subresource", ""))


def _capped(entries: list[Entry]) -> list[Entry]:
    """More than ten updaters: the oldest lose their names and share one entry per version."""
    updates = [entry for entry in in_order(entries) if entry["operation"] == "Update"]
    ancient = {entry["apiVersion"]: entry for entry in updates if entry.get("manager") == ANCIENT}
    named = [entry for entry in updates if entry.get("manager") != ANCIENT]
    while named and len(named) + len(ancient) > MAX_UPDATE_MANAGERS:
        oldest = named.pop(0)
        version = oldest["apiVersion"]
        fields = ancient[version]["fieldsV1"] if version in ancient else {}
        ancient[version] = make_entry(Manager(ANCIENT, "Update", version), fieldset.union(fields, oldest["fieldsV1"]),
                                      oldest.get("time"))
    return [entry for entry in entries if entry["operation"] != "Update"] + named + list(ancient.values())


def with_entries(obj: Mapping[str, Any], entries: list[Entry]) -> dict[str, Any]:
    """A copy of the object that carries this record; without entries, none."""
    metadata = obj["metadata"]
    if entries:
        if metadata.get("managedFields") is not entries:
            metadata = {**metadata, "managedFields": entries}
    elif "managedFields" in metadata:
        metadata = {key: value for key, value in metadata.items() if key != "managedFields"}
    return {**obj, "metadata": metadata}


def without_new_times(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    """`old` if `new` differs from it in nothing but times of entries (then nothing is written), else `new`."""
    theirs, ours = old["metadata"].get("managedFields"), new["metadata"].get("managedFields")
    if theirs is not ours and [_timeless(e) for e in theirs or ()] != [_timeless(e) for e in ours or ()]:
        return new
    same = len(old) == len(new) and all(value == old.get(key) for key, value in new.items() if key != "metadata")
    if same and {**new["metadata"], "managedFields": 0} == {**old["metadata"], "managedFields": 0}:
        return old
    return new


def _timeless(entry: Entry) -> Entry:
    return {key: value for key, value in entry.items() if key != "time"}
