"""The JSONPath of printer columns: simple paths only, as a CustomResourceDefinition may have them.

    .spec.replicas    .status.conditions[?(@.type=="Ready")].status    .spec.ports[0].port
    .metadata.labels['a/b']    .metadata.labels.a\\.b    .spec.items[*].name

Source: k8s.io/client-go/util/jsonpath.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

Step = Callable[[Any], Iterator[Any]]

_TOKEN = re.compile(r"""
    \.(?P<field>(?:\\.|[^.\[\]\\])+)
  | \['(?P<quoted>[^']*)'\] | \["(?P<double>[^"]*)"\]
  | \[(?P<index>-?\d+)\]
  | (?P<all>\[\*\]|\.\*)
  | \[\?\(\s*@(?P<where>(?:\.(?:\\.|[^.\[\]\s=!<>])+)+)\s*(?P<op>==|!=)\s*(?P<value>"[^"]*"|'[^']*'|[\w.-]+)\s*\)\]
""", re.VERBOSE)


def _field(name: str) -> Step:
    def step(node: Any) -> Iterator[Any]:
        if isinstance(node, dict) and name in node:
            yield node[name]

    return step


def _index(index: int) -> Step:
    def step(node: Any) -> Iterator[Any]:
        if isinstance(node, list) and -len(node) <= index < len(node):
            yield node[index]

    return step


def _all(node: Any) -> Iterator[Any]:
    if isinstance(node, list):
        yield from node
    elif isinstance(node, dict):
        yield from node.values()


def _where(path: tuple[Step, ...], wanted: Any, equal: bool) -> Step:
    def step(node: Any) -> Iterator[Any]:
        for item in node if isinstance(node, list) else ():
            if any((value == wanted) == equal for value in _walk(path, item)):
                yield item

    return step


def _literal(text: str) -> Any:
    if text[0] in "\"'":
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        return text


@lru_cache(maxsize=1024)
def parse(path: str) -> tuple[Step, ...]:
    """The steps of a path.  Raises ValueError for one that is not a simple path."""
    path = path.strip()
    if path.startswith("{") and path.endswith("}"):
        path = path[1:-1].strip()
    path = path.removeprefix("$")
    if path and path[0] not in ".[":
        path = "." + path
    steps: list[Step] = []
    position = 0
    while position < len(path):
        match = _TOKEN.match(path, position)
        if match is None or match.end() == position:
            raise ValueError(f"not a simple JSON path: {path!r}")
        position = match.end()
        if match["field"] is not None:
            steps.append(_all if match["field"] == "*" else _field(re.sub(r"\\(.)", r"\1", match["field"])))
        elif match["quoted"] is not None or match["double"] is not None:
            steps.append(_field(match["quoted"] if match["quoted"] is not None else match["double"]))
        elif match["index"] is not None:
            steps.append(_index(int(match["index"])))
        elif match["all"]:
            steps.append(_all)
        else:
            steps.append(_where(parse(match["where"]), _literal(match["value"]), match["op"] == "=="))
    return tuple(steps)


def _walk(steps: tuple[Step, ...], node: Any) -> Iterator[Any]:
    if not steps:
        yield node
        return
    for found in steps[0](node):
        yield from _walk(steps[1:], found)


def find(path: str, obj: Any) -> list[Any]:
    """All values at a path, none if a part of it is missing."""
    return list(_walk(parse(path), obj))
