"""The arguments of instructions: quotes, escapes and $VARIABLES, as Docker's own small shell reads them.

    $A ${A}        the value, or nothing          "${A}"   the same; quotes keep blanks together
    ${A:-other}    other, if A is empty           '$A'     as it stands
    ${A:+other}    other, if A is not empty       \\$A     as it stands
    ${A:?why}      an error, if A is empty        ${A#pat} ${A%pat} ${A/from/to}   cut, replace

Source: moby/buildkit, frontend/dockerfile/shell/lex.go; POSIX, 2.6.2 Parameter Expansion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

DEEPEST = 100
LONGEST = 1 << 20  # characters of one word: no program could be given more
_NAME = re.compile(r"[A-Za-z_]\w*|[0-9@*#?]")


class WordError(ValueError):
    """What is wrong; offset counts from the beginning of the text."""

    def __init__(self, sentence: str, offset: int) -> None:
        super().__init__(sentence)
        self.sentence, self.offset = sentence, offset


def expand(text: str, env: Mapping[str, str], escape: str = "\\", *, keep_quotes: bool = False) -> str:
    """The text as one word, with variables filled in and quotes taken off."""
    return _Lexer(text, env, escape, keep_quotes).one()


def split(text: str, env: Mapping[str, str], escape: str = "\\") -> list[str]:
    """Words as blanks outside of quotes part them; a variable's value may be several."""
    return _Lexer(text, env, escape, False).many()


def pieces(text: str, escape: str = "\\") -> list[str]:
    """Words as they stand, quotes and variables untouched."""
    found, current, quote, skip = [], "", "", False
    for c in text:
        if skip:
            current, skip = current + c, False
        elif c == escape and quote != "'":
            current, skip = current + c, True
        elif quote:
            current += c
            quote = "" if c == quote else quote
        elif c.isspace():
            if current:
                found.append(current)
            current = ""
        else:
            current += c
            quote = c if c in "'\"" else ""
    return [*found, current] if current else found


class _Lexer:
    def __init__(self, text: str, env: Mapping[str, str], escape: str, keep_quotes: bool) -> None:
        self._text, self._env, self._escape, self._keep = text, env, escape, keep_quotes
        self._at, self._depth = 0, 0
        self._words: list[str] = []
        self._current: str | None = None

    def one(self) -> str:
        return self._run(stop="", splitting=False)

    def many(self) -> list[str]:
        self._run(stop="", splitting=True)
        if self._current is not None:
            self._words.append(self._current)
        return self._words

    def _put(self, text: str) -> None:
        self._current = (self._current or "") + text

    def _blank(self) -> None:
        if self._current is not None:
            self._words.append(self._current)
        self._current = None

    def _peek(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def _run(self, stop: str, splitting: bool) -> str:
        out = ""

        def put(text: str) -> None:
            nonlocal out
            out += text
            if len(out) > LONGEST:
                raise WordError(f"it becomes longer than {LONGEST} characters", self._at)
            if splitting:
                self._put(text)

        while self._at < len(self._text):
            c = self._text[self._at]
            if stop and c == stop:
                return out
            if c == "'":
                put(self._single())
            elif c == '"':
                put(self._double())
            elif c == "$":
                value = self._dollar()
                if splitting and any(ch.isspace() for ch in value):
                    self._put_fields(value)
                else:
                    put(value)
            elif c == self._escape:
                self._at += 1
                following = self._peek()
                self._at += 1 if following else 0
                put((c if self._keep or not following else "") + following)
            elif splitting and c.isspace():
                self._blank()
                self._at += 1
            else:
                put(c)
                self._at += 1
        if stop:
            raise WordError(f"syntax error: missing {stop!r}", self._at)
        return out

    def _put_fields(self, value: str) -> None:
        fields = value.split()
        if value[:1].isspace():
            self._blank()
        for i, each in enumerate(fields):
            if i:
                self._blank()
            self._put(each)
        if value[-1:].isspace():
            self._blank()

    def _single(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise WordError("unexpected end of statement while looking for matching single-quote", self._at)
        inside = self._text[self._at + 1:end]
        self._at = end + 1
        return f"'{inside}'" if self._keep else inside

    def _double(self) -> str:
        start, out = self._at, ""
        self._at += 1
        while True:
            c = self._peek()
            if not c:
                raise WordError("unexpected end of statement while looking for matching double-quote", start)
            if c == '"':
                self._at += 1
                return f'"{out}"' if self._keep else out
            if c == "$":
                out += self._dollar()
            elif c == self._escape and self._text[self._at + 1:self._at + 2] in ('"', "$", self._escape):
                out += (c if self._keep else "") + self._text[self._at + 1]
                self._at += 2
            else:
                out += c
                self._at += 1

    def _dollar(self) -> str:
        start = self._at
        self._at += 1
        if self._peek() != "{":
            match = _NAME.match(self._text, self._at)
            if match is None:
                return "$"
            self._at = match.end()
            return self._env.get(match[0], "")
        self._at += 1
        match = _NAME.match(self._text, self._at)
        if match is None:
            raise WordError("syntax error: bad substitution", start)
        name, self._at = match[0], match.end()
        value = self._env.get(name)
        c = self._peek()
        if c == "}":
            self._at += 1
            return value or ""
        return self._modified(name, value, start)

    def _modified(self, name: str, value: str | None, start: int) -> str:
        colon = self._peek() == ":"
        self._at += colon
        operator = self._peek()
        self._at += 1
        if operator in ("-", "+", "?"):
            word = self._argument()
            there = bool(value) if colon else value is not None
            if operator == "-":
                return value or "" if there else word
            if operator == "+":
                return word if there else ""
            if not there:
                raise WordError(f"{name}: {word or 'is not allowed to be unset'}", start)
            return value or ""
        if colon:
            raise WordError(f"unsupported modifier ({operator}) in substitution", start)
        if not operator:
            raise WordError("syntax error: missing '}' in substitution", start)
        doubled = self._peek() == operator
        self._at += doubled
        if operator in ("#", "%"):
            return _cut(value or "", self._argument(), operator, longest=doubled)
        if operator == "/":
            pattern = self._argument(stop="/")
            return _swap(value or "", pattern, self._argument(), everywhere=doubled)
        raise WordError(f"unsupported modifier ({operator}) in substitution", start)

    def _argument(self, stop: str = "}") -> str:
        self._depth += 1
        if self._depth > DEEPEST:
            raise WordError(f"variables in variables, deeper than {DEEPEST}", self._at)
        word = self._run(stop=stop, splitting=False)
        self._at, self._depth = self._at + 1, self._depth - 1
        return word


def _cut(value: str, pattern: str, operator: str, *, longest: bool) -> str:
    """Without what matches at its beginning (#) or end (%)."""
    if operator == "#":
        found = _glob(pattern, greedy=longest).match(value)
        return value[found.end():] if found else value
    # At the end it is the same, read from right to left.
    found = _glob(pattern, greedy=longest, backwards=True).match(value[::-1])
    return value[:len(value) - found.end()] if found else value


def _swap(value: str, pattern: str, other: str, *, everywhere: bool) -> str:
    swapped: str = _glob(pattern, greedy=True).sub(lambda _: other, value, count=0 if everywhere else 1)
    return swapped


def _glob(pattern: str, *, greedy: bool, backwards: bool = False) -> Any:
    """The shell's pattern as an expression that takes linear time, whatever it and the text are."""
    import re2

    parts, at = [], 0
    while at < len(pattern):
        c = pattern[at]
        end = pattern.find("]", at + 2) if c == "[" else -1
        if c == "*":
            parts.append(".*" if greedy else ".*?")
        elif c == "?":
            parts.append(".")
        elif end > 0:
            inside = pattern[at + 1:end].replace("\\", "\\\\").replace("[", "\\[")
            parts.append(f"[^{inside[1:]}]" if inside[0] in "!^" else f"[{inside}]")
            at = end
        else:
            parts.append(re.escape(c))
        at += 1
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile("(?s)" + "".join(reversed(parts) if backwards else parts), options)
    except re2.error:
        return re2.compile(re2.escape(pattern[::-1] if backwards else pattern), options)  # no pattern: as it stands
