"""YAML 1.1 as Go's yaml.v2 reads it: what kubectl, and so everybody's manifests, have come to mean.

A bare `y`, `n`, `on`, `off` is a boolean, also as a key; keys become JSON strings; dates and
sexagesimal numbers (12:30:45) stay text, unlike in PyYAML.

Source: sigs.k8s.io/yaml (yaml.go, convertToJSONableObject), gopkg.in/yaml.v2 (resolve.go).
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

TRUE = ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
MAX_DEPTH = 200  # of collections inside each other; the libraries recurse
MAX_NODES = 1_000_000  # with all aliases written out
FALSE = ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")


class YamlError(Exception):
    """The text is not YAML, or cannot be said in JSON."""


@lru_cache(maxsize=1)
def _loader() -> type:
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc,valid-type]
        """Safe, without PyYAML's dates and base-60 numbers, with one-letter booleans, and noting repeated keys."""

        yaml_implicit_resolvers: dict[str, list[tuple[str, Any]]] = {}  # noqa: RUF012

        def __init__(self, stream: Any) -> None:
            super().__init__(stream)
            self.repeated: list[str] = []

    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(f"^({'|'.join(TRUE + FALSE)})$"),
                                 list("yYnNtTfFoO"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(
        r"^([-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?(0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+)$"), list("-+0123456789"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(
        r"^([-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"),
        list("-+0123456789."))
    Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(~|null|Null|NULL|)$"), ["~", "n", "N", ""])
    Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile("^(<<)$"), ["<"])
    Loader.add_constructor("tag:yaml.org,2002:bool", lambda self, node: node.value in TRUE)
    Loader.add_constructor("tag:yaml.org,2002:int", lambda self, node: _integer(node.value))
    Loader.add_constructor("tag:yaml.org,2002:float", lambda self, node: _float(node.value))
    Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
    return Loader


def _integer(text: str) -> int:
    digits = text.replace("_", "").replace("0o", "0")
    sign, digits = (-1, digits[1:]) if digits[0] == "-" else (1, digits.lstrip("+"))
    if digits.startswith(("0b", "0x")):
        return sign * int(digits, 0)
    return sign * int(digits, 8 if len(digits) > 1 and digits[0] == "0" else 10)


def _float(text: str) -> float:
    value = float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
    if not math.isfinite(value):
        raise YamlError(f"json: unsupported value: {text}")
    return value


def _mapping(loader: Any, node: Any) -> dict[str, Any]:
    loader.flatten_mapping(node)
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _key(loader.construct_object(key_node, deep=True))
        if key in result:
            loader.repeated.append(key)
        result[key] = loader.construct_object(value_node, deep=True)
    return result


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    if key is None:
        return "null"
    if isinstance(key, (str, int)):
        return str(key)
    if isinstance(key, float):
        return f"{key:g}"
    raise YamlError(f"unsupported map key of type {type(key).__name__}")


def _check_shape(data: bytes) -> None:
    """Refuse what would exhaust the stack or the memory: deep nesting, and aliases that blow up.

    One look at the events, which costs no stack, before nodes are built.
    """
    import yaml

    sizes: dict[str, int | None] = {}  # anchor -> how many nodes it stands for; None: not complete yet
    open_: list[tuple[str | None, int]] = []  # (anchor, nodes so far) of each open collection
    total = 0
    for event in yaml.parse(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            if len(open_) >= MAX_DEPTH:
                raise YamlError(f"exceeded max depth of {MAX_DEPTH}")
            if event.anchor:
                sizes[event.anchor] = None
            open_.append((event.anchor, 1))
            continue
        anchor, size = None, 1
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_.pop()
        elif isinstance(event, yaml.AliasEvent):
            found = sizes.get(event.anchor, 1)
            if found is None:
                raise YamlError(f"anchor '{event.anchor}' value contains itself")
            size = found
        elif isinstance(event, yaml.ScalarEvent):
            anchor = event.anchor
        else:
            continue
        if anchor:
            sizes[anchor] = size
        if open_:
            open_[-1] = (open_[-1][0], open_[-1][1] + size)
        total = max(total, size)
        if total > MAX_NODES:
            raise YamlError("document contains excessive aliasing")


def load(data: bytes) -> tuple[Any, list[str]]:
    """The JSON value of one YAML document, and the keys that occur twice in their map."""
    import yaml

    loader = None
    try:
        _check_shape(data)
        loader = _loader()(data)
        value = loader.get_single_data()
        repeated = loader.repeated
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise YamlError(" ".join(str(error).split())) from None
    finally:
        if loader is not None:
            loader.dispose()
    return value, repeated
