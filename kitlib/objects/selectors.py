"""Label and field selectors: how one object names many others.

A label selector is text in a URL (`tier in (web,db),!legacy`) or an object in a spec
(`matchLabels`, `matchExpressions`); both become the same list of requirements, all of which an
object's labels must meet.  A field selector (`status.phase=Running`) compares a few chosen fields.

    text ──lexer──▶ tokens ──parser──▶ Requirement* ──▶ matches(labels)

An object without the label meets `!=` and `notin`.

Source: k8s.io/apimachinery/pkg/labels/selector.go, pkg/fields/selector.go, meta/v1/helpers.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from kitlib.objects import field, names
from kitlib.objects.errors import StatusError, bad_request

_BINARY = "in, notin, =, ==, !=, gt, lt"
_SPECIAL = frozenset("=!(),<>")
_OPERATORS = {"=": "=", "==": "=", "!=": "!=", "in": "in", "notin": "notin", ">": "gt", "<": "lt"}
_SYMBOLS = frozenset([")", ",", "!", "==", "=", ">", "<", "!=", "("])
_EXPRESSION_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)


class Requirement(NamedTuple):
    """One condition: `operator` is in, notin, =, !=, exists, !, gt or lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        operator, found = self.operator, labels.get(self.key)
        if operator in ("=", "in"):
            return found is not None and found in self.values
        if operator in ("!=", "notin"):
            return found is None or found not in self.values
        if operator == "exists":
            return found is not None
        if operator == "!":
            return found is None
        if found is None or not _INTEGER.fullmatch(found):
            return False
        return int(found) > int(self.values[0]) if operator == "gt" else int(found) < int(self.values[0])


class LabelSelector:
    """Requirements that an object's labels must all meet.  An empty one matches everything."""

    __slots__ = ("_equal", "_others", "nothing", "requirements")

    def __init__(self, requirements: Iterable[Requirement] = (), nothing: bool = False) -> None:
        self.requirements = tuple(requirements)
        self.nothing = nothing  # the selector that matches no object: a missing one in a spec
        self._equal = [(r.key, r.values[0]) for r in self.requirements if r.operator == "="]
        self._others = [r for r in self.requirements if r.operator != "="]

    @classmethod
    def parse(cls, text: str) -> LabelSelector:
        """A selector out of a query.  Raises a 400 StatusError with the parser's sentence."""
        return cls(_Parser(text).parse()) if text else EVERYTHING

    @classmethod
    def of(cls, selector: Mapping[str, Any] | None) -> LabelSelector:
        """A selector out of a spec.  None matches nothing, {} everything."""
        if selector is None:
            return NOTHING
        found = [Requirement(key, "=", (value,)) for key, value in (selector.get("matchLabels") or {}).items()]
        for expression in selector.get("matchExpressions") or ():
            operator = _EXPRESSION_OPERATORS.get(expression.get("operator", ""))
            if operator is None:
                raise bad_request(f'"{expression.get("operator", "")}" is not a valid label selector operator')
            found.append(Requirement(expression["key"], operator, tuple(expression.get("values") or ())))
        return cls(found)

    @classmethod
    def of_labels(cls, labels: Mapping[str, str] | None) -> LabelSelector:
        """The plain map that Services and ReplicationControllers select with; an empty one matches nothing."""
        return cls(Requirement(key, "=", (value,)) for key, value in labels.items()) if labels else NOTHING

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        if self.nothing:
            return False
        labels = labels or {}
        for key, value in self._equal:
            if labels.get(key) != value:
                return False
        return all(requirement.matches(labels) for requirement in self._others)

    @property
    def empty(self) -> bool:
        return not self.requirements and not self.nothing

    def __str__(self) -> str:
        return ",".join(map(_shown, self.requirements))


def _shown(requirement: Requirement) -> str:
    key, operator, values = requirement
    if operator == "exists":
        return key
    if operator == "!":
        return f"!{key}"
    if operator in ("in", "notin"):
        return f"{key} {operator} ({','.join(sorted(values))})"
    return f"{key}{ {'gt': '>', 'lt': '<'}.get(operator, operator) }{values[0]}"


def _tokens(text: str) -> Iterator[str]:
    """Words and symbols.  A run of symbol characters is cut at the longest known symbol."""
    at = 0
    while at < len(text):
        if text[at] in " \t\r\n":
            at += 1
        elif text[at] in _SPECIAL:
            size = 2 if text[at:at + 2] in _SYMBOLS else 1
            yield text[at:at + size]
            at += size
        else:
            start = at
            while at < len(text) and text[at] not in _SPECIAL and text[at] not in " \t\r\n":
                at += 1
            yield text[start:at]


class _Parser:
    """Recursive descent, one function per rule of the grammar, with the original's error sentences."""

    def __init__(self, text: str) -> None:
        self.tokens = [*_tokens(text), ""]  # "" is the end
        self.at = 0

    def look(self) -> str:
        return self.tokens[self.at]

    def take(self) -> str:
        token = self.tokens[self.at]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def parse(self) -> list[Requirement]:
        found: list[Requirement] = []
        while token := self.look():
            if not _is_word(token) and token != "!":
                raise bad_request(f"found '{token}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self.requirement())
            except StatusError as error:
                raise bad_request(f"unable to parse requirement: {error.message}") from None
            token = self.take()
            if not token:
                break
            if token != ",":
                raise bad_request(f"found '{token}', expected: ',' or 'end of string'")
            if not _is_word(self.look()) and self.look() != "!":
                raise bad_request(f"found '{self.look()}', expected: identifier after ','")
        return sorted(found, key=lambda requirement: requirement.key)

    def requirement(self) -> Requirement:
        negated = self.look() == "!"
        if negated:
            self.take()
        key = self.take()
        if not _is_word(key):
            raise bad_request(f"found '{key}', expected: identifier")
        problems = names.qualified_name(key)
        if problems:
            raise _field_error(field.invalid("<nil>", key, "; ".join(problems)))
        if negated:
            return Requirement(key, "!")
        if self.look() in ("", ","):
            return Requirement(key, "exists")
        token = self.take()
        operator = _OPERATORS.get(token)
        if operator is None:
            raise bad_request(f"found '{token}', expected: {_BINARY}")
        values = self.values() if operator in ("in", "notin") else self.exact_value()
        return _checked(Requirement(key, operator, values))

    def values(self) -> tuple[str, ...]:
        token = self.take()
        if token != "(":
            raise bad_request(f"found '{token}' expected: '('")
        first = self.look()
        if first == ")":
            self.take()
            return ("",)
        if not _is_word(first) and first != ",":
            raise bad_request(f"found '{first}', expected: ',', ')' or identifier")
        values: set[str] = set()
        while True:
            token = self.take()
            if _is_word(token):
                values.add(token)
                if self.look() == ",":
                    continue
                if self.look() != ")":
                    raise bad_request(f"found '{self.look()}', expected: ',' or ')'")
                break
            if token != ",":
                raise bad_request(f"found '{token}', expected: ',', or identifier")
            if not values:
                values.add("")
            if self.look() == ")":
                values.add("")
                break
            if self.look() == ",":
                self.take()
                values.add("")
        self.take()
        return tuple(sorted(values))

    def exact_value(self) -> tuple[str, ...]:
        if self.look() in ("", ","):
            return ("",)
        token = self.take()
        if not _is_word(token):
            raise bad_request(f"found '{token}', expected: identifier")
        return (token,)


def _is_word(token: str) -> bool:
    return bool(token) and token[0] not in _SPECIAL


def _field_error(problem: field.Cause) -> StatusError:
    return bad_request(f"{problem['field']}: {problem['message']}")


def _checked(requirement: Requirement) -> Requirement:
    for index, value in enumerate(requirement.values):
        if requirement.operator in ("gt", "lt") and not _INTEGER.fullmatch(value):
            raise _field_error(field.invalid(f"values[{index}]", value,
                                             "for 'Gt', 'Lt' operators, the value must be an integer"))
        problems = names.label_value(value)
        if problems:
            raise _field_error(field.invalid(f"values[{index}][{requirement.key}]", value, "; ".join(problems)))
    return requirement


EVERYTHING = LabelSelector()
NOTHING = LabelSelector(nothing=True)


class FieldRequirement(NamedTuple):
    """One comparison; operator is `=` or `!=`."""

    field: str
    operator: str
    value: str


class FieldSelector:
    """Comparisons of fields.  Which fields a kind lets select is the API's business."""

    __slots__ = ("requirements",)

    def __init__(self, requirements: Iterable[FieldRequirement] = ()) -> None:
        self.requirements = tuple(requirements)

    @classmethod
    def parse(cls, text: str) -> FieldSelector:
        """A selector out of a query.  Raises a 400 StatusError."""
        found = []
        for term in sorted(_terms(text)):
            match = re.search("!=|==|=", term)
            if match is None:
                raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
            operator = "!=" if match[0] == "!=" else "="
            found.append(FieldRequirement(term[:match.start()], operator, _unescape(term[match.end():])))
        return cls(found)

    def matches(self, fields: Mapping[str, str]) -> bool:
        """`fields`: the selectable fields' values by path; a missing one counts as empty."""
        return all((fields.get(name, "") == value) == (operator == "=") for name, operator, value in self.requirements)

    @property
    def empty(self) -> bool:
        return not self.requirements

    def exact(self, name: str) -> str | None:
        """The value that a field must have, if the selector says so: `metadata.name=x`."""
        return next((r.value for r in self.requirements if r.field == name and r.operator == "="), None)

    def __str__(self) -> str:
        return ",".join(f"{r.field}{r.operator}{_escape(r.value)}" for r in self.requirements)


def _terms(text: str) -> list[str]:
    """Cut at commas that no backslash precedes."""
    return [term for term in re.findall(r"(?:[^,\\]|\\.|\\$)+", text, re.DOTALL) if term]


def _escape(value: str) -> str:
    return re.sub(r"([\\,=])", r"\\\1", value)


def _unescape(value: str) -> str:
    result, at = [], 0
    while at < len(value):
        char = value[at]
        if char == "\\":
            at += 1
            if value[at:at + 1] not in ("\\", ",", "="):
                raise bad_request(f"invalid field selector: invalid escape sequence: \\{value[at:at + 1]}")
            char = value[at]
        elif char in ",=":
            raise bad_request(f"invalid field selector: unescaped character in value: {char}")
        result.append(char)
        at += 1
    return "".join(result)
