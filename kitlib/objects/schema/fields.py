"""Decoders of single values: what each scalar accepts, and the unions of a custom resource's schema.

A decoder takes (value, path, report) and returns the canonical value; what it cannot accept it reports.
Go's own types answer with a sentence that names the field; types with a decoder of their own
(quantities, times, int-or-string) answer with one that does not, as on a real server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kitlib.objects.schema import scalars
from kitlib.objects.schema.report import Report, json_kind

Decode = Callable[[Any, Any, Report], Any]


class NEVER:  # no JSON value has this type
    """Stands in an entry whose values always go through a decoder."""


SCALAR_FAST: dict[str, type] = {"string": str, "bool": bool}
INT32, INT64 = 2**31, 2**63


def scalar_decoder(base: str, struct: str, go: str, struct_of: Callable[[str], Decode]) -> Decode:
    """The decoder of a scalar field of `struct`, whose type Go prints as `go`."""
    if base in ("int32", "int64"):
        return _integer(INT32 if base == "int32" else INT64, struct, go)
    if base == "double":
        return _double(struct, go)
    if base == "bytes":
        return _bytes(struct, go)
    if base == "quantity":
        return _quantity
    if base == "int-or-string":
        return _int_or_string
    if base in TEXT_FORMS:
        return _text_form(TEXT_FORMS[base])
    if base == "any":
        return _any
    if base in UNIONS:
        return UNIONS[base](struct_of)
    return _exact(SCALAR_FAST[base], struct, go)


def _exact(wanted: type, struct: str, go: str) -> Decode:
    """Strings and bools.  In most places the caller has compared the type already."""

    def decode(value: Any, path: Any, report: Report) -> Any:
        if type(value) is not wanted:
            report.wrong_type(value, path, struct, go)
            return wanted()
        return value

    return decode


def _integer(limit: int, struct: str, go: str) -> Decode:
    def decode(value: Any, path: Any, report: Report) -> Any:
        if type(value) is int and -limit <= value < limit:
            return value
        report.wrong_type(value, path, struct, go)
        return 0

    return decode


def _double(struct: str, go: str) -> Decode:
    def decode(value: Any, path: Any, report: Report) -> Any:
        if type(value) is float:
            return int(value) if value.is_integer() and abs(value) < 1e21 else value
        if type(value) is not int:
            report.wrong_type(value, path, struct, go)
            return 0
        return value

    return decode


def _bytes(struct: str, go: str) -> Decode:
    def decode(value: Any, path: Any, report: Report) -> Any:
        if type(value) is not str:
            report.wrong_type(value, path, struct, go)
            return ""
        try:
            return scalars.base64_text(value)
        except ValueError as error:
            report.bad_value(path, str(error))
            return ""

    return decode


def _quantity(value: Any, path: Any, report: Report) -> Any:
    try:
        return scalars.quantity(value)
    except ValueError as error:
        report.bad_value(path, str(error))
        return "0"


def _int_or_string(value: Any, path: Any, report: Report) -> Any:
    if type(value) is str or (type(value) is int and -INT32 <= value < INT32):
        return value
    report.bad_value(path, f"json: cannot unmarshal {json_kind(value, 'int32')} into Go value of type int32")
    return 0


TEXT_FORMS: dict[str, Callable[[str], str]] = {
    "time": scalars.canonical_time, "microtime": scalars.canonical_microtime, "duration": scalars.duration}


def _text_form(canonical: Callable[[str], str]) -> Decode:
    def decode(value: Any, path: Any, report: Report) -> Any:
        if type(value) is not str:
            report.bad_value(path, f"json: cannot unmarshal {json_kind(value)} into Go value of type string")
            return None
        try:
            return canonical(value)
        except ValueError as error:
            report.bad_value(path, str(error))
            return None

    return decode


def _any(value: Any, path: Any, report: Report) -> Any:
    return value


# -- the three unions of JSONSchemaProps -------------------------------------------------------------------

PROPS = "apiextensions/v1.JSONSchemaProps"


def _schema(struct_of: Callable[[str], Decode], value: Any, path: Any, report: Report) -> Any:
    """A schema inside a union: Go's own decoder of the union never reports unknown fields."""
    inner = Report()
    decoded = struct_of(PROPS)(value, path, inner)
    report.problems += inner.problems
    return decoded


def _schema_or_bool(struct_of: Callable[[str], Decode]) -> Decode:
    def decode(value: Any, path: Any, report: Report) -> Any:
        if type(value) is bool:
            return value
        if type(value) is dict:
            return _schema(struct_of, value, path, report)
        report.bad_value(path, "boolean or JSON schema expected")
        return True

    return decode


def _schema_or_array(struct_of: Callable[[str], Decode]) -> Decode:
    def decode(value: Any, path: Any, report: Report) -> Any:
        if type(value) is list:
            return [_schema(struct_of, item, (path, index, True), report) for index, item in enumerate(value)]
        if type(value) is dict:
            return _schema(struct_of, value, path, report)
        return None  # Go ignores what is neither

    return decode


def _schema_or_strings(struct_of: Callable[[str], Decode]) -> Decode:
    def decode(value: Any, path: Any, report: Report) -> Any:
        if type(value) is dict:
            return _schema(struct_of, value, path, report)
        if type(value) is list and all(type(item) is str for item in value):
            return list(value)
        report.bad_value(path, "JSON schema or array of strings expected")
        return []

    return decode


UNIONS: dict[str, Callable[[Callable[[str], Decode]], Decode]] = {
    "schema-or-bool": _schema_or_bool, "schema-or-array": _schema_or_array, "schema-or-strings": _schema_or_strings}
