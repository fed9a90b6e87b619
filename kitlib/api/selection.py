"""Which objects of a list or watch the client wants: label and field selectors.

Labels select anything; fields only what a kind declares (`Kind.selectable`), for a real server keeps
them indexed.  An unknown field is a 400.

Source: k8s.io/apiserver/pkg/storage/selection_predicate.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kitlib.api.call import Call
from kitlib.api.kind import Kind, SelectableField
from kitlib.objects.errors import bad_request
from kitlib.objects.selectors import FieldSelector, LabelSelector


class Selection:
    """Both selectors of a request, ready to be asked about objects of one kind's version."""

    __slots__ = ("_fields", "_labels", "empty", "name")

    def __init__(self, labels: LabelSelector | None, fields: list[tuple[SelectableField, bool, str]],
                 name: str = "") -> None:
        self._labels, self._fields, self.name = labels, fields, name
        self.empty = labels is None and not fields

    def matches(self, obj: Mapping[str, Any]) -> bool:
        if self._labels is not None and not self._labels.matches(obj["metadata"].get("labels")):
            return False
        return all((field.value(obj) == value) is equal for field, equal, value in self._fields)


EVERYTHING = Selection(None, [])


def selection(call: Call) -> Selection:
    """The request's selection.  Raises 400 for one that cannot be read or used."""
    if not call.request.query and not (call.info.old_watch and call.info.name):
        return EVERYTHING
    labels_text, fields_text = call.request.param("labelSelector"), call.request.param("fieldSelector")
    labels = LabelSelector.parse(labels_text) if labels_text else None
    fields, name = [], ""
    if fields_text:
        selector = FieldSelector.parse(fields_text)
        for label, operator, value in selector.requirements:
            fields.append((selectable(call.kind, label), operator == "=", value))
        name = selector.exact("metadata.name") or ""
    if call.info.old_watch and call.info.name:
        fields.append((selectable(call.kind, "metadata.name"), True, call.info.name))
    return Selection(labels if labels is not None and not labels.empty else None, fields, name)


def selectable(kind: Kind, label: str) -> SelectableField:
    found = kind.fields.get(label)
    if found is None:
        raise bad_request(f"field label not supported: {label}")
    return found
