"""Images built from Dockerfiles: what the layers have, what runs, what the cache knows and why not, and failures."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from image_files import tree

from kitlib.images import base
from kitlib.images.build.build import Builder, BuildError, Built, Event, Settings
from kitlib.images.build.isolation import strongest
from kitlib.images.errors import ImageError
from kitlib.images.layerwriter import Entry, without
from kitlib.images.store import ImageStore

pytestmark = pytest.mark.needs("busybox")


class Shop:
    """A store with busybox, a context, and a way to build."""

    def __init__(self, place: Path) -> None:
        self.store = ImageStore(place / "images" / "oci")
        base.busybox(self.store)
        self.context = place / "context"
        self.context.mkdir()
        self.said: list[Event] = []

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.context / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def build(self, text: str, **settings: Any) -> Built:
        self.said.clear()
        return Builder(self.store).build(self.context, text, Settings(**settings), self.said.append)

    def files(self, text: str, **settings: Any) -> dict[str, str]:
        """Of the image, without busybox's own."""
        return {p: t for p, t in tree(self.store.flat(self.build(text, **settings).image)).items()
                if not p.startswith(("bin/", "usr", "var/", "etc/passwd", "etc/group"))
                and p not in ("bin", "dev", "etc", "home", "root", "tmp", "var")}

    def output(self) -> str:
        return "".join(event.text for event in self.said if event.kind == "output")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def how(built: Built) -> dict[str, str]:
    return {built.plan.steps[n].title: f"{o.how} {o.why}".strip() for n, o in built.outcomes.items()
            if o.how != "noted"}


def test_run_sees_what_it_should_and_its_changes_are_the_layer(shop: Shop) -> None:
    assert strongest() in ("overlay", "proot")
    shop.write(a="1")
    found = shop.files("""FROM busybox
WORKDIR /w
COPY a .
ENV NAME=you
RUN echo "hello $NAME" > greeting && rm a && mkdir -p deep/er && ln -s greeting link && rm /etc/group
RUN id -u; cat greeting
""")
    assert found == {"w": "/", "w/greeting": "hello you\n", "w/deep": "/", "w/deep/er": "/", "w/link": "-> greeting"}
    assert shop.output() == "0\nhello you\n"


def test_copy_in_all_its_forms(shop: Shop) -> None:
    shop.write(d__x="x", d__y_log="y", d__s__z="z", app_sh="#!", _dockerignore="**/*.log\n")
    found = shop.files("""FROM scratch AS from
COPY d /data/
FROM busybox
COPY d /plain
COPY d/s d/x /several/
COPY *.sh /wild/
COPY --from=from /data/s /taken
COPY --chmod=700 app.sh /renamed
COPY <<EOF /text
$PATH
EOF
COPY <<"EOF" /raw
$PATH
EOF
""")
    assert found == {
        "plain": "/", "plain/x": "x", "plain/s": "/", "plain/s/z": "z", "several": "/", "several/z": "z",
        "several/x": "x", "wild": "/", "wild/app.sh": "#!", "taken": "/", "taken/z": "z", "renamed": "#!",
        "text": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n", "raw": "$PATH\n"}


def test_what_is_there_only_for_mounts_is_no_change() -> None:
    directories = [Entry(path, tarfile.DIRTYPE) for path in ("etc", "srv", "srv/data", "proc")]
    found = [*directories, Entry("etc/hosts"), Entry("srv/cookie"), Entry("proc/self"), Entry("srv/data/mounted")]
    kept = without(found, {"etc/hosts", "srv/data/mounted", "proc"})
    assert [entry.path for entry in kept] == ["srv", "srv/cookie"]


def test_copied_hard_links_are_one_file_still(shop: Shop) -> None:
    built = shop.build("FROM busybox AS all\nFROM scratch\nCOPY --from=all / /\n")
    assert built.image.size < 2 * shop.store.find("busybox").size  # type: ignore[union-attr]
    flat = shop.store.flat(built.image)
    assert (flat / "bin/sh").stat().st_ino == (flat / "bin/ls").stat().st_ino


def test_add_unpacks_a_tar_and_copy_does_not(shop: Shop) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        info = tarfile.TarInfo("in/side")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"ok"))
    (shop.context / "a.tgz").write_bytes(packed.getvalue())
    assert shop.files("FROM scratch\nADD a.tgz /out/\n") == {"out": "/", "out/in": "/", "out/in/side": "ok"}
    built = shop.build("FROM scratch\nCOPY a.tgz /\n")
    assert [p.name for p in shop.store.flat(built.image).iterdir()] == ["a.tgz"]


def test_the_cache_knows_what_is_the_same_and_says_what_is_not(shop: Shop) -> None:
    shop.write(a="1", b="1")
    text = "FROM busybox\nARG V=1\nCOPY a /a\nRUN cat /a\nCOPY b /b\nRUN echo $V\n"
    first = shop.build(text)
    assert set(how(first).values()) == {"ran never built before"}
    again = shop.build(text)
    assert set(how(again).values()) == {"cached"}
    assert again.image.id == first.image.id
    shop.write(b="2")
    assert how(shop.build(text)) == {"COPY a /a": "cached", "RUN cat /a": "cached", "COPY b /b": "ran b has changed",
                                     "RUN echo $V": "ran a step that it stands on is another"}
    assert how(shop.build(text, args={"V": "2"}))["RUN cat /a"] == "ran V has another value"
    assert how(shop.build(text.replace("cat /a", "cat /a /a")))["RUN cat /a /a"] == "ran the command is another"
    assert set(how(shop.build(text, no_cache=True)).values()) == {"ran --no-cache"}


def test_touching_a_file_breaks_no_cache(shop: Shop) -> None:
    shop.write(a="1")
    shop.build("FROM busybox\nCOPY a /\n")
    (shop.context / "a").touch()
    assert set(how(shop.build("FROM busybox\nCOPY a /\n")).values()) == {"cached"}


def test_stages_that_do_not_need_each_other_run_at_the_same_time(shop: Shop) -> None:
    stages = "".join(f"FROM busybox AS s{i}\nRUN sleep 0.5; echo {i} > /o\n" for i in range(4))
    shop.build("FROM busybox\nRUN true\n")  # busybox is unpacked
    began = time.monotonic()
    found = shop.files(stages + "FROM scratch\n" + "".join(f"COPY --from=s{i} /o /{i}\n" for i in range(4)))
    assert found == {str(i): f"{i}\n" for i in range(4)}
    assert time.monotonic() - began < 1.9  # one after the other they would take two seconds


def test_a_secret_leaves_no_trace_and_a_cache_mount_outlives_the_build(shop: Shop) -> None:
    text = """FROM busybox
RUN --mount=type=secret,id=t cat /run/secrets/t > /seen.length.$(wc -c < /run/secrets/t)
RUN --mount=type=secret,id=t,env=T test "$T" = xyzzy42
RUN --mount=type=cache,target=/cache date >> /cache/log; wc -l < /cache/log
RUN --mount=type=tmpfs,target=/mem touch /mem/x
RUN --mount=type=bind,source=a,target=/bound/a cat /bound/a
"""
    shop.write(a="from the context")
    built = shop.build(text.replace("cat /run/secrets/t > ", "echo > "), secrets={"t": b"xyzzy42"})
    layers = b"".join(shop.store.blob(layer.digest).read_bytes() for layer in built.image.layers)
    assert b"xyzzy42" not in layers
    names = tree(shop.store.flat(built.image))
    assert not {"run", "cache", "mem", "bound", "run/secrets"} & set(names)
    assert "from the context" in shop.output()
    shop.build(text.replace("date", "echo more"), secrets={"t": b"xyzzy42"})
    assert "2\n" in shop.output()


@pytest.mark.skipif(strongest() != "overlay", reason="only a namespace can take the network away")
def test_a_step_without_a_network_has_its_own_loopback_only(shop: Shop) -> None:
    shop.build("FROM busybox\nRUN --network=none ip -o link | cut -d: -f2,3 | cut -c1-16\n")
    assert shop.output() == " lo: <LOOPBACK,U\n"


def test_a_failing_step_says_where_and_with_which_code(shop: Shop) -> None:
    with pytest.raises(BuildError) as caught:
        shop.build("FROM busybox\nRUN echo before; exit 7\nRUN never\n")
    assert (caught.value.step.line, caught.value.code) == (2, 7)
    assert str(caught.value) == ('Dockerfile:2:1: RUN echo before; exit 7: process "/bin/sh -c echo before; exit 7" '
                                 "did not complete successfully: exit code: 7")
    assert shop.output() == "before\n"


@pytest.mark.parametrize(("text", "sentence"), [
    ("FROM busybox\nCOPY nothing /\n", "Dockerfile:2:1: COPY nothing /: 'nothing': not found in the build context"),
    ("FROM busybox\nCOPY --from=busybox /no /\n", "'/no': not found there"),
    ("FROM busybox\nCOPY --chown=ghost a /\n", "unable to find user ghost"),
    ("FROM busybox\nRUN --mount=type=secret,id=x,required=true true\n", "secret x: not found"),
    ("FROM busybox\nUSER ghost\nRUN true\n", "unable to find user ghost"),
    ("FROM busybox\nWORKDIR /bin/sh/x\n", "it is a file")])
def test_what_cannot_be_done_is_a_sentence(shop: Shop, text: str, sentence: str) -> None:
    shop.write(a="1")
    with pytest.raises(BuildError) as caught:
        shop.build(text)
    assert sentence in str(caught.value)


def test_an_unknown_base_image_is_a_sentence(shop: Shop) -> None:
    with pytest.raises(ImageError, match="ghost: failed to resolve source metadata: not found"):
        shop.build("FROM ghost\n")


def test_the_same_input_gives_the_same_digest_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        shop = Shop(tmp_path / name)
        shop.write(a="1")
        (shop.context / "a").touch()
        __import__("os").utime(shop.context / "a", (1e9, 1e9))
        found.append(shop.build("FROM busybox\nCOPY a /d/a\nRUN echo x > /x\nENV A=1\n").image.digest)
    assert found[0] == found[1]


def test_kit_build_on_the_command_line(shop: Shop, tmp_path: Path) -> None:
    def kit(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "kitlib.cli.main", "build", *arguments], capture_output=True,
                              text=True, check=False, env={**__import__("os").environ, "KIT_HOME": str(tmp_path)})

    shop.write(Dockerfile="FROM busybox\nRUN echo hi\n")
    done = kit(str(shop.context), "-t", "kit/app:v1", "--graph", "--svg", str(tmp_path / "graph.svg"))
    assert done.returncode == 0, done.stderr
    assert "#1 RUN echo hi" in done.stderr
    assert "#1 hi" in done.stderr
    assert "RUN echo hi" in (tmp_path / "graph.svg").read_text()
    assert done.stdout.startswith("1 step ran, 0 came out of the cache")
    assert done.stdout.splitlines()[1].split() == ["STEP", "STAGE", "NEEDS", "INSTRUCTION", "HOW", "WHEN", "TOOK"]
    assert shop.store.find("kit/app:v1") is not None
    shop.write(Dockerfile="FROM busybox\nRUNN echo hi\n")
    failed = kit(str(shop.context))
    assert (failed.returncode, failed.stderr) == (
        1, "kit: Dockerfile:2:1: unknown instruction: RUNN (did you mean RUN?).\n")
    assert kit(str(tmp_path / "none")).returncode == 2
