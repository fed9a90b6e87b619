"""CEL, the Common Expression Language, as Kubernetes uses it in CRDs and admission policies.

The language itself is the PyPI library `cel-python`; here are the conversion of values (an integer is
an integer because its schema says so) and the functions that Kubernetes adds for strings and lists.
The library is imported when the first rule is evaluated.

Source: https://kubernetes.io/docs/reference/using-api/cel/, https://cel.dev.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from kitlib.api import celcost, regexp
from kitlib.api.celcost import Account, CostExceeded

Schema = Mapping[str, Any]
MAX_EXPRESSION = 10_000


class CelError(Exception):
    """An expression that cannot be compiled or evaluated."""


def evaluate(text: str, variables: Mapping[str, Any], schema: Schema | None = None, want_bool: bool = True,
             raw: bool = False, account: Account | None = None) -> Any:
    """The value of an expression.  Raises CelError, also for a rule that is not a boolean.

    want_bool=False: as text, for messages.  raw: as CEL's own value, to be a variable of other expressions.
    account: shared by the evaluations that together may cost no more than one object is worth.
    """
    import celpy

    program = compile_(text)
    activation = {name: _value(value, schema or {}) for name, value in variables.items()}
    try:
        result = celcost.run(program, activation, account or Account())
    except (celpy.CELEvalError, CostExceeded, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise CelError(_reason(error)) from None
    if isinstance(result, celpy.CELEvalError):
        raise CelError(_reason(result))
    if raw:
        return result
    if not want_bool:
        return str(result)
    if not isinstance(result, celpy.celtypes.BoolType | bool):
        raise CelError("the rule does not give a boolean")
    return bool(result)


def _reason(error: BaseException) -> str:
    return " ".join(str(error.args[0] if error.args else error).split())


@lru_cache(maxsize=1024)
def compile_(text: str) -> Any:
    """The runnable program of an expression.  Raises CelError."""
    import celpy

    if len(text) > MAX_EXPRESSION:
        raise CelError("expression is too long")
    environment = celpy.Environment()
    try:
        return environment.program(environment.compile(text), functions=_functions())
    except celpy.CELParseError as error:
        raise CelError(f"compilation failed: {_reason(error)}") from None


def _value(value: Any, schema: Schema) -> Any:
    """A JSON value as CEL's: the schema tells numbers apart, and dates from text."""
    from celpy import celtypes

    if type(value).__module__ == celtypes.__name__ or isinstance(value, celtypes.MapType):
        return value  # the value of another expression
    if isinstance(value, bool):
        return celtypes.BoolType(value)
    if isinstance(value, (int, float)):
        if schema.get("type") == "number" or (isinstance(value, float) and not value.is_integer()):
            return celtypes.DoubleType(value)
        return celtypes.IntType(int(value))
    if isinstance(value, str):
        if schema.get("format") in ("date", "date-time"):
            return celtypes.TimestampType(value if "T" in value else f"{value}T00:00:00Z")
        return celtypes.StringType(value)
    if isinstance(value, list):
        items = schema.get("items") or {}
        return celtypes.ListType([_value(item, items) for item in value])
    if isinstance(value, dict):
        properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
        below = extra if isinstance(extra, Mapping) else {}
        return celtypes.MapType({celtypes.StringType(escape(key) if key in properties else key):
                                 _value(item, properties.get(key) or below) for key, item in value.items()})
    return None


RESERVED = frozenset(("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function",
                      "if", "import", "let", "loop", "package", "namespace", "return", "var", "void", "while"))


def escape(name: str) -> str:
    """A property's name as an identifier of CEL: `x-y` is `x__dash__y`, `namespace` is `__namespace__`."""
    if name in RESERVED:
        return f"__{name}__"
    return name.replace("__", "__underscores__").replace(".", "__dot__").replace("-", "__dash__").replace(
        "/", "__slash__")


def unescape(name: str) -> str:
    """The property whose name in CEL this is."""
    if name.startswith("__") and name.endswith("__") and name[2:-2] in RESERVED:
        return name[2:-2]
    return name.replace("__slash__", "/").replace("__dash__", "-").replace("__dot__", ".").replace(
        "__underscores__", "__")


@lru_cache(maxsize=1)
def _functions() -> dict[str, Any]:
    """Kubernetes' string and list functions, and those of cel-go's string extension."""
    from celpy import celtypes

    boolean, integer, string, list_ = celtypes.BoolType, celtypes.IntType, celtypes.StringType, celtypes.ListType

    def is_sorted(items: Any) -> Any:
        return boolean(all(items[i] <= items[i + 1] for i in range(len(items) - 1)))

    def total(items: Any) -> Any:
        result = items[0] if items else integer(0)
        for item in items[1:]:
            result = result + item
        return result

    def index_of(container: Any, wanted: Any) -> Any:
        if isinstance(container, str):
            return integer(container.find(wanted))
        return integer(next((i for i, item in enumerate(container) if item == wanted), -1))

    def last_index_of(container: Any, wanted: Any) -> Any:
        if isinstance(container, str):
            return integer(container.rfind(wanted))
        return integer(max((i for i, item in enumerate(container) if item == wanted), default=-1))

    def replace(text: Any, old: Any, new: Any, limit: Any = -1) -> Any:
        celcost.check_size(len(text) + text.count(old) * len(new))
        return string(text.replace(old, new, int(limit)))

    def find(text: Any, pattern: Any) -> Any:
        match = regexp.compile_(pattern).search(text)
        return string(match[0] if match else "")

    def find_all(text: Any, pattern: Any, limit: Any = -1) -> Any:
        found = [string(match[0]) for match in regexp.compile_(pattern).finditer(text)]
        return list_(found if limit < 0 else found[:int(limit)])

    def substring(text: Any, start: Any, end: Any = None) -> Any:
        return string(text[int(start):None if end is None else int(end)])

    return {
        "isSorted": is_sorted, "sum": total, "min": min, "max": max, "indexOf": index_of,
        "lastIndexOf": last_index_of, "find": find, "findAll": find_all, "substring": substring,
        "lowerAscii": lambda text: string(text.lower()), "upperAscii": lambda text: string(text.upper()),
        "trim": lambda text: string(text.strip()), "charAt": lambda text, at: string(text[int(at)]),
        "replace": replace,
        "escapeKey": lambda _, key: string(key.replace("~", "~0").replace("/", "~1")),
        "split": lambda text, by, limit=-1: list_([string(part) for part in (
            text.split(by) if limit < 0 else text.split(by, int(limit) - 1))]),
        "join": lambda items, by="": string(by.join(items)),
    }
