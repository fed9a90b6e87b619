"""`docker build` without BuildKit: the same layers, configuration, history and refusals from both."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path
from typing import Any

import docker.errors
import pytest
from engine_support import BASE, LABEL, PREFIX, Done, Engine, at_once, context, saved, small_tar

EXAMPLES = {
    "stages": """FROM base AS one
WORKDIR /w
COPY a.txt made
FROM base AS two
COPY --from=one /w/made /copied
COPY --from=0 /w /again/
FROM two
COPY --from=base /etc/passwd /taken
CMD ["cat", "/copied"]
""",
    "arguments": """ARG TAG=latest
FROM base:${TAG}
ARG GIVEN=default
ARG UNSET
ARG BOTH=arg
ENV BOTH=env WITH="two words" FROM_ARG=$GIVEN
ENV OLD form of it
RUN echo "$GIVEN-$UNSET-$BOTH-$TAG" > /seen
LABEL given=$GIVEN quoted='$GIVEN' default=${NONE:-d} set=${GIVEN:+yes}
""",
    "copies": """FROM base
COPY a.txt b.txt /several/
COPY dir /tree
COPY dir/. /tree2/
COPY --chown=33:100 a.txt /owned
COPY --chown=www-data dir /owned-tree
COPY *.txt /wild/
COPY ["with space.txt", "/also with space"]
COPY run.sh /bin/run
WORKDIR relative/deep
COPY a.txt .
""",
    "add": """FROM base
ADD packed.tar.gz /unpacked/
ADD packed.tar /unpacked2
COPY packed.tar /as-it-is.tar
ADD a.txt /plain
ADD dir /tree/
""",
    "ignored": """FROM base
COPY . /all
""",
    "forms": """FROM base
MAINTAINER somebody
SHELL ["/bin/sh", "-ec"]
ENTRYPOINT ["echo", "one"]
CMD ["two"]
EXPOSE 80 53/udp 8000-8002
VOLUME ["/data", "/more"]
USER www-data:users
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=30s --timeout=2s --retries=5 CMD test -e /ok
ONBUILD COPY a.txt /triggered
ONBUILD RUN echo x
""",
    "runs": """FROM base
RUN echo 1 > /1 && mkdir -p /made/deep && ln -s 1 /link && ln /1 /hard
RUN rm /1 && rm -r /home && chmod 700 /tmp && chown -h 33 /link && echo 2 > /2
RUN ["sh", "-c", "echo exec form > /exec"]
RUN true
USER nobody
WORKDIR /tmp
RUN id -u && pwd
""",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A context for all of them."""
    root = context(tmp_path_factory.mktemp("context"), a_txt="A\n", b_txt="B\n", dir__x="x", dir__sub__y="y",
                   run_sh="#!/bin/sh\n", dir__debug_log="log", keep_log="kept", cache__c="no",
                   _dockerignore="*.log\n!keep.log\n**/cache\n")
    (root / "with space.txt").write_text("s")
    (root / "run.sh").chmod(0o755)
    (root / "dir/sub").chmod(0o750)
    (root / "dir/link").symlink_to("x")
    tar = small_tar(in__side=b"inside\n", top=b"t")
    (root / "packed.tar").write_bytes(tar)
    (root / "packed.tar.gz").write_bytes(gzip.compress(tar, mtime=0))
    for name, text in EXAMPLES.items():
        (root / f"{name}.Dockerfile").write_text(text.replace("base", BASE))
    for path in sorted(root.rglob("*"), reverse=True):
        os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
    return root


@pytest.fixture(scope="module")
def built(engine_of_session: Engine, files: Path) -> dict[str, str]:
    """The examples' images."""
    def build(name: str) -> str:
        tag = f"{PREFIX}/build-{name}"
        more = ["--build-arg", "GIVEN=given"] if name == "arguments" else []
        engine_of_session("build", "-q", "--force-rm", "--label", LABEL, "-f", str(files / f"{name}.Dockerfile"), "-t",
                          tag, *more, str(files))
        return tag

    return at_once(build, EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_become_the_same(engine: Engine, built: dict[str, str], name: str) -> None:
    tag = built[name]
    found = engine.inspect(tag, "image")
    image = saved(engine, tag)
    engine.agree("tree", {path: what for path, what in image.tree().items() if not path.startswith("bin/")})
    engine.agree("layers", [{path: what for path, what in one.items() if what[0] != "d"}
                            for one in image.changes()[1:]])
    engine.agree("config", {key: value for key, value in found["Config"].items()
                            if key not in ("Image", "Hostname", "Domainname")})
    engine.agree("history", [(entry["CreatedBy"], entry["Size"] > 0)
                             for entry in engine.sdk.images.get(tag).history()])


def test_what_was_built_runs(engine: Engine, built: dict[str, str]) -> None:
    tag = built["forms"]
    assert engine("run", "--rm", tag) == "one two"
    assert engine("run", "--rm", tag, "three") == "one three"
    assert engine("run", "--rm", "--entrypoint", "id", tag, "-un") == "www-data"


def test_the_output_of_a_build(engine: Engine, tmp_path: Path) -> None:
    text = f"FROM {BASE}\nLABEL {LABEL}\nENV A=1\nRUN echo said; echo wrong >&2\n"
    tag = f"{PREFIX}/output:1"
    context(tmp_path, Dockerfile=text)
    said = engine("build", "-t", tag, str(tmp_path)).splitlines()
    steps = [line for line in said if line.startswith("Step ")]
    assert steps == [f"Step {n}/4 : {line}" for n, line in enumerate(text.splitlines(), 1)]
    assert any(line.endswith("said") for line in said)  # behind the other stream's colours, or not
    assert any(line.startswith(" ---> Running in ") for line in said)
    assert said[-2:] == [f"Successfully built {engine.inspect(tag, 'image')['Id'][7:19]}", f"Successfully tagged {tag}"]
    again = engine("build", "-t", tag, str(tmp_path)).splitlines()
    assert [line for line in again if "Using cache" in line] == [" ---> Using cache"] * 3
    assert not [line for line in engine("build", "--no-cache", str(tmp_path)).splitlines() if "Using cache" in line]
    engine("rmi", "-f", tag)


def test_the_cache_knows_what_was_copied(engine: Engine, tmp_path: Path) -> None:
    context(tmp_path, Dockerfile=f"FROM {BASE}\nLABEL {LABEL}\nCOPY a /a\nCOPY b /b\n", a="1", b="1")

    def cached() -> int:
        return engine("build", "-t", f"{PREFIX}/cache", str(tmp_path)).count("Using cache")

    cached()
    assert cached() == 3
    (tmp_path / "b").write_text("2")
    assert cached() == 2
    os.utime(tmp_path / "a", (1, 1))
    assert cached() == 3
    engine("rmi", "-f", f"{PREFIX}/cache")


def test_a_target_a_file_elsewhere_and_an_id_file(engine: Engine, tmp_path: Path) -> None:
    context(tmp_path / "c", a="a")
    (tmp_path / "elsewhere").write_text(f"FROM {BASE} AS first\nLABEL stage=1 {LABEL}\nFROM first\nLABEL stage=2\n")
    tag = f"{PREFIX}/target"
    engine("build", "-q", "--target", "first", "-f", str(tmp_path / "elsewhere"), "-t", tag, "-t", f"{tag}:2",
           "--iidfile", str(tmp_path / "id"), "--label", "more=yes", str(tmp_path / "c"))
    found = engine.inspect(tag, "image")
    assert (tmp_path / "id").read_text().strip() == found["Id"] == engine.inspect(f"{tag}:2", "image")["Id"]
    assert found["Config"]["Labels"]["stage"] == "1"
    assert found["Config"]["Labels"]["more"] == "yes"
    assert "failed to reach build target none" in engine.refused(
        "build", "--target", "none", "-f", str(tmp_path / "elsewhere"), str(tmp_path / "c"))
    engine("rmi", "-f", tag, f"{tag}:2")


def test_a_context_by_stdin_and_by_the_sdk(engine: Engine) -> None:
    text = f'FROM {BASE}\nLABEL {LABEL}\nCOPY f /f\nCMD ["cat", "/f"]\n'
    tar = small_tar(Dockerfile=text.encode(), f=b"by stdin\n")
    identity = engine("build", "-q", "-", stdin=tar)
    assert engine("run", "--rm", identity) == "by stdin"
    image, log = engine.sdk.images.build(fileobj=io.BytesIO(tar), custom_context=True, tag=f"{PREFIX}/sdk", rm=True)
    assert image.id == identity  # from the cache
    assert any("Successfully built" in line.get("stream", "") for line in log)
    alone = engine("build", "-q", "-", stdin=f"FROM {BASE}\nLABEL {LABEL} alone=1\n")
    assert alone.startswith("sha256:")
    engine("rmi", "-f", identity, alone)


def test_triggers_run_in_the_child(engine: Engine, files: Path, tmp_path: Path) -> None:
    parent = f"{PREFIX}/trigger"
    context(tmp_path, Dockerfile=f"FROM {BASE}\nLABEL {LABEL}\nONBUILD COPY f /f\nONBUILD RUN cat /f > /ran\n", f="1\n")
    engine("build", "-q", "-t", parent, str(tmp_path))
    (tmp_path / "Dockerfile").write_text(f"FROM {parent}\nCMD [\"cat\", \"/ran\"]\n")
    said = engine("build", "-t", f"{PREFIX}/triggered", str(tmp_path))
    assert "# Executing 2 build triggers" in said
    assert engine("run", "--rm", f"{PREFIX}/triggered") == "1"
    assert engine.inspect(f"{PREFIX}/triggered", "image")["Config"]["OnBuild"] is None
    engine("rmi", "-f", f"{PREFIX}/triggered", parent)


REFUSED = {
    "FROM base\nRUNN x\n": "unknown instruction: RUNN",
    "FROM base\nCOPY none /\n": "none",
    "FROM base\nCOPY ../up /\n": "up",
    "FROM base\nRUN exit 3\n": "The command '/bin/sh -c exit 3' returned a non-zero code: 3",
    "FROM base\nRUN no-such-program\n": "The command '/bin/sh -c no-such-program' returned a non-zero code: 127",
    "FROM 127.0.0.1:1/no-such-base\n": "connection refused",
    "RUN x\n": "no build stage in current context",
    "": "cannot be empty",
    "FROM base\nENV\n": "ENV requires at least one argument",
    "FROM base\nENV A\n": "ENV must have two arguments",
    "FROM base\nCOPY a\n": "COPY requires at least two arguments",
    "FROM base\nEXPOSE x\n": "Invalid containerPort: x",
    "FROM base\nUSER\n": "USER requires exactly one argument",
    "FROM base\nCOPY --from=nobody /x /\n": "nobody",
    "FROM base\nCOPY --chown=ghost a /\n": "ghost",
    "FROM base\nWORKDIR\n": "WORKDIR requires exactly one argument",
    "FROM base\nONBUILD ONBUILD RUN x\n": "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
    "FROM base\nHEALTHCHECK TRY x\n": "Unknown type",
    "FROM base\nSHELL sh -c\n": "SHELL requires the arguments to be in JSON form",
    "FROM base\nSTOPSIGNAL NONE\n": "signal: NONE"}


def test_what_cannot_be_built_says_why(engine: Engine, tmp_path: Path) -> None:
    def build(text: str) -> Done:
        place = context(tmp_path / str(list(REFUSED).index(text)), a="a",
                        Dockerfile=text.replace("FROM base", f"FROM {BASE}"))
        return engine.docker("build", "--force-rm", "--label", LABEL, str(place))

    found = at_once(build, REFUSED)
    assert {text: done.err for text, done in found.items() if REFUSED[text].lower() not in done.err.lower()} == {}
    engine.agree("codes", {text: done.code for text, done in found.items()})
    assert all(done.code for done in found.values())


def test_the_sdk_raises_what_the_build_says(engine: Engine) -> None:
    text = f"FROM {BASE}\nLABEL {LABEL}\nRUN echo hm; exit 5\n"
    with pytest.raises(docker.errors.BuildError, match="returned a non-zero code: 5") as failed:
        engine.sdk.images.build(fileobj=io.BytesIO(text.encode()), rm=True, forcerm=True)
    log: list[dict[str, Any]] = list(failed.value.build_log)
    assert any(line.get("stream") == "hm\n" for line in log)
