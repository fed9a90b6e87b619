"""Dockerfiles and .dockerignore files that nobody would write: a plan, or one sentence with line and column; at once.

Nothing is built here: what a Dockerfile means is found out before anything runs.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kitlib.images.build.dockerfile import INSTRUCTIONS, DockerfileError, parse
from kitlib.images.build.ignore import Ignore
from kitlib.images.build.plan import Plan, plan
from kitlib.images.build.words import WordError, expand, split

EXAMPLES = sorted(Path(__file__).with_name("dockerfiles").glob("*Dockerfile"))
SECONDS = 10.0  # far more than any of this takes on a busy machine
PIECES = ["FROM a", "AS b", "--from=0", "--mount=type=cache", "--chown=1:2", "--platform=", "<<EOF", "<<-'E'", "EOF",
          "\\", "`", "$", "${A:-", "${A/x/", "}", "'", '"', "[", '"]', "#", "# escape=`", "# syntax=x", "\t", " ", "\n",
          "\r\n", "\x00", "ÿ", "=", ",", "/", "..", "*", "?", "[a-", "ONBUILD", "CMD-SHELL", "NONE", "--interval=", "a",
          "1h2s", "80/tcp", "9-1/udp", "99999999999999999999", *INSTRUCTIONS]  # fmt: skip
BASE = {"config": {"Env": ["PATH=/bin", "A=1"], "OnBuild": ["RUN x", "COPY . /"]}}


def understand(text: str) -> None:
    """There is a plan, or a complaint as it has to be."""
    began, said = time.monotonic(), ""
    try:
        assert isinstance(plan(parse(text), lambda name: BASE), Plan)
    except DockerfileError as error:
        said = str(error)
    assert time.monotonic() - began < SECONDS, text[:200]
    if said:
        file, line, column, sentence = said.split(":", 3)
        assert file == "Dockerfile"
        assert 1 <= int(line) <= text.count("\n") + text.count("\r") + 1, said
        assert int(column) >= 1, said
        assert "\n" not in sentence
        assert sentence.strip()


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
@example("FROM a\nRUN <<A <<B\nA\n")
@example("FROM a\nENV A\n")
@example("\ufeffFROM a\n")
@example("FROM a\\")
def test_any_text(text: str) -> None:
    understand(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join), st.booleans())
def test_pieces_of_the_language_in_any_order(text: str, begun: bool) -> None:
    understand(f"FROM a\n{text}" if begun else text)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(INSTRUCTIONS), st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_every_instruction_with_any_arguments(name: str, arguments: str) -> None:
    understand(f"ARG A=1\nFROM a AS b\n{name} {arguments}\nRUN end\n")
    understand(f"FROM a\nONBUILD {name} {arguments}")


@pytest.mark.parametrize("example_file", EXAMPLES, ids=lambda path: path.name)
def test_examples_that_were_damaged(example_file: Path) -> None:
    text, chance = example_file.read_text(), random.Random(7)
    for _ in range(40):
        at, what = chance.randrange(len(text)), chance.choice(PIECES)
        damaged = chance.choice([text[:at], text[:at] + what + text[at:], text[:at] + text[at + 7:]])
        understand(damaged)


LARGE = {
    "variables in variables, not ended": "ENV A=" + "${A:-" * 50_000,
    "variables in variables": "ENV A=" + "${A:-" * 5_000 + "}" * 5_000,
    "lines that go on": "RUN " + "\\\n" * 100_000, "brackets": "CMD " + "[" * 100_000, "lists": "CMD " + '["' * 50_000,
    "labels": "LABEL " + "a=b " * 50_000, "quotes": "ENV A=" + "'" * 99_999, "escapes": "# escape=`" * 20_000,
    "a heredoc without end": "COPY <<E /x\n" + "line\n" * 100_000, "heredocs": "RUN " + "<<A " * 10_000 + "\n",
    "stages": "FROM a AS a\n" * 2_000, "triggers": "ONBUILD " * 20_000 + "RUN x",
    "mounts": "RUN --mount=" + "a=b," * 10_000 + " x",
    "ports": "EXPOSE 1-65535/tcp", "more ports": "EXPOSE 0-999999999999",
    "a duration": "HEALTHCHECK --interval=" + "9" * 5_000 + "s CMD x",
    "a pattern": "ENV P=" + "a" * 20_000 + "\nENV Q=${P##" + "*a" * 40 + "b}",
    "a pattern to swap": "ENV P=" + "a" * 2_000 + "\nENV Q=${P//" + "*a" * 40 + "b/x}",
    "arguments that grow": "ARG A=aa\n" + "ARG A=${A}${A}\n" * 60, "variables that grow": "ENV A=$A$A$A$A\n" * 40}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_large_or_deep_takes_no_time(name: str) -> None:
    understand(f"FROM a\n{LARGE[name]}")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*"$'\"\\ {}:-+?#%/*[]=ab", "${", "${A", ":-"]), max_size=30).map("".join))
def test_words_are_words_or_an_error_with_a_place(text: str) -> None:
    env: dict[str, Any] = {"A": "a b/c", "B": ""}
    for read in (expand, split):
        try:
            read(text, env)
        except WordError as error:
            found = error
        else:
            continue
        assert 0 <= found.offset <= len(text)
        assert "\n" not in found.sentence


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([*"*ab/?[]!\\# \n-", "**", "[^a]", ".."]), max_size=25).map("".join))
def test_any_dockerignore(text: str) -> None:
    began = time.monotonic()
    rules = Ignore(text)
    for path in ("a", "a/b", "b/a/b", "a" * 60):
        rules.hides(path)
    assert time.monotonic() - began < SECONDS


@pytest.mark.parametrize("pattern", ["*a" * 30 + "b", "**/" * 30 + "b", "[" * 1000, "a?" * 500, "**a" * 25])
def test_patterns_that_look_back_take_no_time(pattern: str) -> None:
    began = time.monotonic()
    rules = Ignore(f"{pattern}\n")
    rules.hides("a" * 200)
    rules.hides("/".join("a" * 60))
    assert time.monotonic() - began < SECONDS
