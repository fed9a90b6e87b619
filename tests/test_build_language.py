"""The Dockerfile language: text into instructions, words and variables, stages into a graph, and each complaint."""

from __future__ import annotations

from typing import Any

import pytest

from kitlib.images.build.dockerfile import DockerfileError, parse
from kitlib.images.build.ignore import Ignore
from kitlib.images.build.operations import Copy, Run
from kitlib.images.build.plan import plan
from kitlib.images.build.words import WordError, expand, split

BASE = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin", "LANG=C"], "WorkingDir": "/work",
                                                             "Cmd": ["sh"], "Entrypoint": ["old"]}}
ONBUILD = {**BASE, "config": {**BASE["config"], "OnBuild": ["COPY . /app", "RUN make"]}}  # type: ignore[dict-item]


def base(name: str) -> dict[str, Any]:
    return ONBUILD if name == "trigger" else BASE


def made(text: str, **more: Any) -> Any:
    return plan(parse(text), base, **more)


def config(text: str, **more: Any) -> dict[str, Any]:
    found = made(text, **more)
    return found.steps[found.target].config["config"]


def test_lines_comments_continuations_and_places() -> None:
    found = parse("# syntax=docker/dockerfile:1\n\n# a comment\nFROM a\nRUN one \\\n  # not this\n\n  two\n  ENV A=1\n")
    assert [(i.name, tuple(i.place), i.text) for i in found.instructions] == [
        ("FROM", (4, 1), "a"), ("RUN", (5, 1), "one   two"), ("ENV", (9, 3), "A=1")]
    assert found.directives == {"syntax": "docker/dockerfile:1"}


def test_another_escape_character() -> None:
    found = parse("# escape=`\nFROM a\nRUN dir `\n  c:\\windows\n")
    assert found.instructions[1].text == "dir   c:\\windows"


def test_heredocs() -> None:
    found = parse('FROM a\nRUN <<EOF\necho $A\nEOF\nCOPY <<-"X" <<Y /d/\n\tin X\n\tX\nin Y\nY\n')
    run, copy = found.instructions[1:]
    assert [(h.name, h.content, h.expand) for h in run.heredocs] == [("EOF", "echo $A\n", True)]
    assert [(h.name, h.content, h.expand) for h in copy.heredocs] == [("X", "in X\n", False), ("Y", "in Y\n", True)]


@pytest.mark.parametrize(("text", "expected"), [
    ("$A", "1"), ("${A}b", "1b"), ("'$A'", "$A"), ('"$A x"', "1 x"), ("\\$A", "$A"), ("${NO:-d}", "d"),
    ("${A:-d}", "1"), ("${A:+y}", "y"), ("${NO:+y}", ""), ("${P#*/}", "b/c.tar.gz"), ("${P##*/}", "c.tar.gz"),
    ("${P%.*}", "a/b/c.tar"),
    ("${P%%.*}", "a/b/c"), ("${P/b/x}", "a/x/c.tar.gz"), ("${NO:-${A}2}", "12"), ("$", "$"), ("a$", "a$"), ("$NO", "")])
def test_variables(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "P": "a/b/c.tar.gz"}) == expected


def test_words_are_parted_by_blanks_outside_of_quotes() -> None:
    assert split('a "b c" d\\ e $L', {"L": "x y"}) == ["a", "b c", "d e", "x", "y"]
    with pytest.raises(WordError, match="is not allowed to be unset"):
        expand("${NO:?}", {})


def test_arguments_are_seen_where_they_are_declared_and_env_wins() -> None:
    text = "ARG V=1\nFROM a:$V\nARG V\nARG X=x\nENV X=env\nRUN $X\nFROM b\nLABEL v=$V\n"
    found = made(text, args={"V": "2", "NONE": "z"})
    [run] = [s.operation for s in found.steps if isinstance(s.operation, Run)]
    assert (run.env["V"], run.env["X"]) == ("2", "env")
    assert config(text)["Labels"] == {"v": ""}
    assert found.warnings == ("[Warning] One or more build-args ['NONE'] were not consumed",)


def test_a_platform_is_what_the_image_says_of_itself() -> None:
    found = made("FROM --platform=arm64 scratch\n").steps[0].config
    assert (found["os"], found["architecture"]) == ("linux", "arm64")
    found = made("ARG TARGETARCH\nFROM scratch\nARG TARGETARCH\nARG TARGETPLATFORM\nARG BUILDOS\n"
                 "LABEL a=$TARGETARCH-$TARGETPLATFORM-$BUILDOS\n", platform="linux/arm/v7")
    assert found.steps[-1].config["config"]["Labels"] == {"a": "arm-linux/arm/v7-linux"}
    assert (found.steps[-1].config["architecture"], found.steps[-1].config["variant"]) == ("arm", "v7")
    warned = made("FROM --platform=linux/s390x a\n").warnings
    assert warned == ("[Warning] Dockerfile:1: a is for linux/amd64, not for linux/s390x; RUN uses it as it is",)


def test_of_two_stages_of_one_name_the_later_one_counts() -> None:
    found = made("FROM a AS x\nRUN one\nFROM b AS X\nRUN two\nFROM x\n")
    assert [step.title for step in found.needed()] == ["FROM b AS X", "RUN two", "FROM x"]
    assert found.warnings == ("[Warning] Dockerfile:3: duplicate stage name X: from here on it means this stage",)


def test_a_stage_nobody_asks_for_is_not_built() -> None:
    found = made("FROM a AS one\nRUN x\nFROM b AS two\nRUN y\nFROM scratch\nCOPY --from=one /x /\n")
    assert [s.title for s in found.needed()] == ["FROM a AS one", "RUN x", "FROM scratch", "COPY --from=one /x /"]
    one = made("FROM a AS one\nRUN x\nFROM b\n", target="one")
    assert [s.title for s in one.needed()] == ["FROM a AS one", "RUN x"]


def test_the_configuration() -> None:
    found = config("""FROM a
ENV A=1 B="x y"
ENV OLD form of it
WORKDIR sub
EXPOSE 80 9000-9001/udp
VOLUME /data "/more"
USER app
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=1m30s --retries=2 CMD curl localhost
LABEL a=b c.d="e f"
SHELL ["/bin/bash", "-c"]
ENTRYPOINT exec app
""")
    assert found == {
        "Env": ["PATH=/bin", "LANG=C", "A=1", "B=x y", "OLD=form of it"], "WorkingDir": "/work/sub",
        "ExposedPorts": {"80/tcp": {}, "9000/udp": {}, "9001/udp": {}}, "Volumes": {"/data": {}, "/more": {}},
        "User": "app", "StopSignal": "SIGQUIT", "Labels": {"a": "b", "c.d": "e f"},
        "Healthcheck": {"Test": ["CMD-SHELL", "curl localhost"], "Interval": 90_000_000_000, "Retries": 2},
        "Shell": ["/bin/bash", "-c"], "Entrypoint": ["/bin/bash", "-c", "exec app"]}


def test_what_run_and_copy_become() -> None:
    found = made("""FROM a
RUN ["a", "b"]
RUN <<EOF
one
EOF
RUN <<EOF
#!/usr/bin/python
print(1)
EOF
RUN --mount=type=cache,target=/c --mount=type=secret,id=t,env=T --network=none x
COPY --chown=1:2 --chmod=755 a b dir/
""")
    runs = [s.operation for s in found.steps if isinstance(s.operation, Run)]
    assert [r.argv for r in runs] == [("a", "b"), ("/bin/sh", "-c", "one\n"), ("/dev/pipes/script",),
                                      ("/bin/sh", "-c", "x")]
    assert [(m.kind, m.target, m.identity, m.env) for m in runs[3].mounts] == [("cache", "/c", "/c", ""),
                                                                              ("secret", "", "t", "T")]
    [copy] = [s.operation for s in found.steps if isinstance(s.operation, Copy)]
    assert (copy.sources, copy.target, copy.owner, copy.mode) == (("a", "b"), "/work/dir/", "1:2", "755")


def test_triggers_of_the_base_image_come_first() -> None:
    titles = [step.title for step in made("FROM trigger\nCMD x\n").steps]
    assert titles == ["FROM trigger", "COPY . /app", "RUN make", "CMD x"]


@pytest.mark.parametrize(("text", "sentence"), [
    ("", "Dockerfile:1:1: the file has no instructions"),
    ("RUN x", "Dockerfile:1:1: no build stage in current context: RUN stands before the first FROM"),
    ("FROM a\nRUNN x", "Dockerfile:2:1: unknown instruction: RUNN (did you mean RUN?)"),
    ("FROM a\n  COPY x", "Dockerfile:2:3: COPY requires at least two arguments, but only 1 was provided"),
    ("FROM a\nCOPY x y z", "destination must be a directory and end with a /"),
    ("FROM a b", "FROM requires either one or three arguments"),
    ("FROM a\nCOPY --from=3 x y", "there is no stage 3 before this one"),
    ("FROM a AS me\nCOPY --from=me x y", "a stage cannot take files from itself"),
    ("FROM a\nCOPY --nope x y", "Dockerfile:2:6: unknown flag: nope"),
    ("FROM a\nENV A", "ENV must have two arguments"),
    ("FROM a\nENV A=1 B", "can't find = in 'B'"),
    ("FROM a\nRUN <<EOF\nx", "unterminated heredoc: no line says EOF"),
    ("FROM a\nEXPOSE 99999", "invalid containerPort: 99999"),
    ("FROM a\nSHELL bash", "SHELL requires the arguments to be in JSON form"),
    ("FROM a\nHEALTHCHECK curl", "unknown type 'curl' in HEALTHCHECK (try CMD)"),
    ("FROM a\nRUN --mount=type=cach,target=/x y", "unsupported mount type 'cach'"),
    ("FROM a\nRUN --mount=type=cache y", "a mount of type cache needs a target"),
    ("FROM a\nLABEL x=${A", "failed to process '${A'"),
    ("FROM $NOTHING", "base name ($NOTHING) should not be blank"),
    ("FROM a\nONBUILD FROM b", "FROM isn't allowed as an ONBUILD trigger"),
    ("FROM a\nSTOPSIGNAL HELLO", "Dockerfile:2:12: invalid stopsignal: HELLO"),
    ("FROM a\nONBUILD BOGUS x", "Dockerfile:2:9: unknown instruction: BOGUS"),
    ("FROM a\nENV A=1 \\\n    B=2 C", "Dockerfile:3:9: syntax error: can't find = in 'C'"),
    ("FROM a\nEXPOSE 80/foo", "Dockerfile:2:8: invalid proto: foo"),
    ("FROM a\nHEALTHCHECK CMD", "missing command after HEALTHCHECK CMD"),
    ("FROM a\nHEALTHCHECK --retries=0 CMD x", "Dockerfile:2:23: --retries must be at least 1 (not 0)"),
    ("FROM Upper", "Dockerfile:1:6: failed to parse stage name \"Upper\": invalid reference format: "
                        "repository name must be lowercase"),
    ("FROM --platform=a/b/c/d a", "Dockerfile:1:17: failed to parse platform a/b/c/d"),
    ("FROM a\nADD git@github.com:x/y.git /z", "Dockerfile:2:5: ADD git@github.com:x/y.git: a git repository is not "
                                              "fetched here; clone it into the context"),
    ("FROM a\nADD --checksum=sha256:0 a /", "checksum can't be specified for non-HTTP(S) sources"),
    ("# escape=x\nFROM a", "invalid escape token 'x'")])
def test_each_mistake_is_one_sentence_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        made(text)
    assert sentence in str(caught.value)


def test_dockerignore() -> None:
    rules = Ignore("# comment\n*.log\n**/tmp\ndocs\n!docs/keep.md\n!important.log\n/root.txt\n")
    hidden = ["a.log", "x/tmp", "x/tmp/y", "tmp", "docs/a.md", "root.txt"]
    seen = ["sub/a.log", "docs/keep.md", "important.log", "a.txt", "x/root.txt"]
    assert [p for p in hidden + seen if rules.hides(p)] == hidden
