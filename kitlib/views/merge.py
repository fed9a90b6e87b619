"""A three-way merge as a picture: what you said last time, what is there, what you want now.

`kubectl apply` compares three objects, and forgets nothing but what it never knew:

    in your manifest                 → set to what you want
    gone from it, but applied before → removed (it was yours), or back to the default
    neither now nor before           → kept: it belongs to somebody else

The last applied manifest is in the annotation `kubectl.kubernetes.io/last-applied-configuration`.  The result is the
server's own answer to a dry run of `kubectl apply`, not a guess of ours.

Source: k8s.io/apimachinery/pkg/util/strategicpatch (CreateThreeWayMergePatch); "Declarative Management of
Kubernetes Objects Using Configuration Files" in the Kubernetes documentation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kitlib.views.grid import Cell, Column, Grid, GridFigure

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_SERVERS = frozenset(("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid", "selfLink",
                      "namespace", "name"))  # fmt: skip
_MAX_KEPT = 4  # fields that nobody asked about, drawn before the rest is only counted
_OURS = frozenset(f'metadata.annotations["{name}"]' for name in (LAST_APPLIED, "deployment.kubernetes.io/revision"))

Flat = dict[str, str]


def leaves(obj: Mapping[str, Any] | None) -> Flat:
    """Path → value of all that a person can write: labels, annotations, spec, data; not status, not the server's."""
    found: Flat = {}
    for key, value in (obj or {}).items():
        if key == "metadata":
            _walk({k: v for k, v in value.items() if k not in _SERVERS}, "metadata", found)
        elif key not in ("apiVersion", "kind", "status"):
            _walk(value, key, found)
    return {path: value for path, value in found.items() if path not in _OURS}


def _walk(value: Any, path: str, found: Flat) -> None:
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            _walk(part, f"{path}.{key}" if "." not in key and "/" not in key else f'{path}["{key}"]', found)
    elif isinstance(value, list) and value:
        for number, part in enumerate(value):
            name = part.get("name", number) if isinstance(part, Mapping) else number
            _walk(part, f"{path}[{name}]", found)
    elif value not in ({}, [], None):
        found[path] = value if isinstance(value, str) else json.dumps(value)


def verdict(last: str | None, live: str | None, wanted: str | None, result: str | None) -> tuple[str, str]:
    """(what happens to a field and why, its colour's role).

    >>> verdict("cherry", "cherry", None, None)
    ('removed: you had it, now not', 'removed')
    """
    if wanted is not None:
        if live == wanted:
            return "same", "same"
        if live is None:
            return ("put back: it was gone" if last == wanted else "set: new"), "put back" if last == wanted else "set"
        return ("put back: changed meanwhile", "put back") if last == wanted else ("set: your new value", "set")
    if last is not None:
        if result is not None:
            return "yours no more: the default", "default"
        return ("removed: you had it, now not", "removed") if live is not None else ("gone already", "same")
    return ("kept: was never yours", "kept") if result is not None else ("removed", "removed")


def grid(title: str, last: Mapping[str, Any] | None, live: Mapping[str, Any] | None, wanted: Mapping[str, Any],
         result: Mapping[str, Any]) -> Grid:
    """The picture's table from the four objects.  last is None where nobody applied before."""
    was, now, want, then = leaves(last), leaves(live), leaves(wanted), leaves(result)
    asked = sorted({*was, *want})
    others = sorted((now.keys() | then.keys()) - set(asked))
    rows = []
    for path in asked + others[:_MAX_KEPT]:
        words, role = verdict(was.get(path), now.get(path), want.get(path), then.get(path))
        rows.append((path, (Cell(was.get(path, "")), Cell(now.get(path, "")), Cell(want.get(path, "")),
                            Cell(then.get(path, ""), role)), words, role))
    notes = []
    if others[_MAX_KEPT:]:
        notes.append(f"and {len(others) - _MAX_KEPT} more fields that you never mentioned (defaults, or somebody "
                     "else's): kept")
    if last is None and live is not None:
        notes.append("Nobody applied this object before: kubectl remembers nothing, so it cannot know what to remove.")
    columns = (Column("last applied", "said last time"), Column("live", "there now"),
               Column("your manifest", "wanted now"), Column("result", "would be stored"))
    return Grid(title, columns, tuple(rows), tuple(notes))


def figure(manifest: str, run: Any) -> GridFigure:
    """Draw what `kubectl apply` of a manifest (one object, YAML) would do.  Raises ValueError for another manifest.

    run(command, stdin): stock kubectl; returns what it printed.
    """
    import yaml

    try:
        documents = [part for part in yaml.safe_load_all(manifest) if part]
    except yaml.YAMLError as error:
        raise ValueError(f"the manifest is not YAML: {error}") from None
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise ValueError(f"a three-way merge is drawn for one object; the manifest has {len(documents)}")
    found = run("get -f - --ignore-not-found -o json", manifest)
    live = json.loads(found) if found.strip() else None
    if live and live["kind"] == "List":  # what comes out of a file is a list for kubectl, even of one
        live = live["items"][0]
    result = json.loads(run("apply --dry-run=server -o json -f -", manifest))
    told = ((live or {}).get("metadata", {}).get("annotations") or {}).get(LAST_APPLIED)
    name = f"{result['kind']} {result['metadata']['name']}"
    return GridFigure(grid(f"What kubectl apply would do to {name}", json.loads(told) if told else None, live,
                           documents[0], result), names=190, verdicts=215)
