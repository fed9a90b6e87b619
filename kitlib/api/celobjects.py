"""Objects that an expression makes: `Object{spec: Object.spec{replicas: 3}}`, `JSONPatch{op: "add", …}`.

A real server declares a type for every struct of the matched kind, so that a misspelt field does not compile.
Here a type has any field, and the schema refuses what it does not know once the mutation is applied.

Source: k8s.io/apiserver/pkg/cel/mutation (typeresolver.go, jsonpatch.go).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from kitlib.api.cel import CelError, unescape


@lru_cache(maxsize=1)
def constructors() -> dict[str, Any]:
    """The names with which an expression of a mutation makes values."""
    from celpy import celtypes

    class StructType(celtypes.MapType):
        """A type: whatever is selected from it is the type of that field, and calling it makes a value."""

        def __contains__(self, name: object) -> bool:
            return True

        def __getitem__(self, name: Any) -> Any:
            return self

        def get(self, name: Any, default: Any = None) -> Any:
            return self

        def __call__(self, fields: celtypes.MessageType | None = None) -> celtypes.MessageType:
            return celtypes.MessageType() if fields is None else fields

    struct = StructType()
    return {"Object": struct, "JSONPatch": struct, "jsonpatch": celtypes.MapType({})}


def to_json(value: Any) -> Any:
    """A value of CEL as plain JSON data.  Raises CelError for what JSON has no form for."""
    from celpy import CELEvalError, celtypes

    if isinstance(value, CELEvalError):  # the library leaves errors lie in maps and lists
        raise CelError(" ".join(str(value.args[0]).split()))
    if value is None or isinstance(value, (celtypes.BoolType, bool)):
        return None if value is None else bool(value)
    if isinstance(value, celtypes.MessageType):
        return {unescape(str(name)): to_json(item) for name, item in value.items()}
    if isinstance(value, dict):
        return {str(name): to_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    for plain in (int, float, str):  # CEL's numbers and texts are subclasses of Python's
        if isinstance(value, plain):
            return plain(value)
    raise CelError(f"{type(value).__name__} has no form in JSON")
