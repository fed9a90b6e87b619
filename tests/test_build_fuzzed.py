"""Whatever a Dockerfile says, reading it ends, and a complaint is one sentence with a place in the file."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kitlib.images.build.dockerfile import INSTRUCTIONS, DockerfileError, parse
from kitlib.images.build.ignore import Ignore
from kitlib.images.build.plan import plan
from kitlib.images.errors import ImageError

BASE: dict[str, Any] = {"architecture": "amd64", "os": "linux", "config": {"OnBuild": ["RUN x", "COPY . /a"]}}
PIECES = st.sampled_from([
    "a", "b=1", "c=", "=", "$A", "${A", "${A:-", "${A:+x}", "${A##*}", "'", '"', "\\", "\\\n", "`", "\n", "\t", "[",
    "]", '["a", "b"]', "<<EOF", "<<-'X'", "EOF", "--from=0", "--from=x", "--mount=type=cache,target=/c",
    "--mount=type=x",
    "--chown=1:2", "--chmod=9", "--platform=linux/arm64", "--interval=3s", "AS x", "scratch", "80/tcp", "99999", "CMD",
    "../../..", "/", "*", "**", "# syntax=x\n", "# escape=`\n", "\0", "ü", "a" * 300, "NONE", "SIGKILL", "\r\n"])
LINES = st.builds(lambda name, words: " ".join([name, *words]) + "\n", st.sampled_from([*INSTRUCTIONS, "bogus", ""]),
                  st.lists(PIECES, max_size=5))


@given(st.lists(LINES, max_size=8), st.booleans())
@settings(max_examples=400, deadline=2000)
def test_dockerfiles(lines: list[str], begun: bool) -> None:
    text = ("FROM base\n" if begun else "") + "".join(lines)
    caught: DockerfileError | ImageError | None = None
    try:
        made = plan(parse(text), lambda name: BASE, args={"A": "1"})
    except (DockerfileError, ImageError) as error:
        caught = error
    if isinstance(caught, DockerfileError):
        assert re.match(r"Dockerfile:\d+:\d+: .", str(caught))
        assert 1 <= caught.place.line <= text.count("\n") + 1
    elif caught is None:
        assert made.needed()[-1].number == made.target


@given(st.lists(st.text("ab*?[]!/.\\#^- \n", max_size=12), max_size=5), st.text("ab/.", min_size=1, max_size=8))
@settings(max_examples=300, deadline=2000)
def test_dockerignore(rules: list[str], path: str) -> None:
    assert Ignore("\n".join(rules)).hides(path.strip("/") or "a") in (True, False)
