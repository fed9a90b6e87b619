"""What became of a build: as data, as a picture, compared with another build, and as a job for a check."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import kitlib as kit
from kitlib.images.build.build import Event
from kitlib.images.build.dockerfile import parse
from kitlib.images.build.plan import plan
from kitlib.images.build.report import Report, Watch, compare
from kitlib.views.build_figure import BuildFigure, ComparedFigure

SHOP = """FROM busybox AS deps
RUN mkdir /deps && echo one > /deps/list
FROM busybox AS test
COPY --from=deps /deps /deps
RUN false
FROM deps AS bundle
COPY src /src
RUN cat /src/a /deps/list > /app
FROM busybox
COPY --from=bundle /app /app
USER nobody
"""


def planned() -> Watch:
    return Watch(plan(parse(SHOP), lambda name: {"config": {}}))


def test_the_graph_says_what_may_run_side_by_side_and_what_nobody_needs() -> None:
    report = planned().report()
    deps, copy, bundle = (report.step(t).number for t in ("mkdir", "COPY src", "cat /src/a"))
    assert report.independent(deps, report.step("FROM busybox AS test").number)
    assert not report.independent(deps, bundle)
    assert copy in report.stands_on(bundle)
    assert [step.title for step in report.steps if step.how == "skipped"] == [
        "FROM busybox AS test", "COPY --from=deps /deps /deps", "RUN false"]
    with pytest.raises(KeyError, match="nonsense"):
        report.step("nonsense")
    assert Report.of(json.loads(json.dumps(report.json()))) == report


def test_a_build_that_goes_on_and_one_that_broke_off() -> None:
    watch = planned()
    deps, copy = watch.report().step("mkdir").number, watch.report().step("COPY src").number
    watch.tell(Event(deps, "started"))
    watch.tell(Event(copy, "started"))
    watch.tell(Event(deps, "output", "oh "))
    assert (watch.report().step("mkdir").how, watch.report().step("cat /src/a").how) == ("running", "waiting")
    watch.tell(Event(deps, "failed", "exit code: 1"))
    broken = watch.broken()
    assert [(s.how, s.why, s.output) for s in (broken.step("mkdir"), broken.step("COPY src"))] == [
        ("failed", "exit code: 1", "oh "), ("stopped", "", "")]
    assert "failed" in BuildFigure(broken).svg


@pytest.mark.needs("busybox")
def test_two_builds_are_compared_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_HOME", str(tmp_path / "kit"))
    source = tmp_path / "shop" / "src" / "a"
    source.parent.mkdir(parents=True)
    source.write_text("1\n")
    first = kit.build(tmp_path / "shop", SHOP, tag="kit/shop")   # busybox is made on the way
    source.write_text("2\n")
    second = kit.build(tmp_path / "shop", SHOP.replace("USER nobody", "RUN cat /app"))
    assert {s.how for s in first if s.kind in ("run", "copy")} == {"ran", "skipped"}
    assert (second["mkdir"].how, second["COPY src"].how, second["COPY src"].why) == ("cached", "ran",
                                                                                    "src/a has changed")
    assert second.output == f"#{second['RUN cat /app'].number} 2\n#{second['RUN cat /app'].number} one"
    assert second.report.blame(second["cat /src/a"].number) == second["COPY src"].number
    verdicts = {(c.after or c.before).title: c.verdict for c in compare(first.report, second.report)}  # type: ignore[union-attr]
    assert verdicts == {
        "FROM busybox AS deps": "noted", "RUN mkdir /deps && echo one > /deps/list": "kept",
        "FROM busybox AS test": "skipped", "COPY --from=deps /deps /deps": "skipped", "RUN false": "skipped",
        "FROM deps AS bundle": "noted", "COPY src /src": "broke", "RUN cat /src/a /deps/list > /app": "follows",
        "FROM busybox": "noted", "COPY --from=bundle /app /app": "broke", "RUN cat /app": "broke"}
    for figure in (first, second, ComparedFigure(first.report, second.report)):
        drawn = ElementTree.fromstring(figure.svg)
        words = "".join(drawn.itertext())
        assert "src/a has changed" in words or figure is first
        assert "COPY src /src" in drawn.findtext("{http://www.w3.org/2000/svg}desc", "")
    assert "broke the cache: src/a has changed" in str(kit.compare_builds(first, second))
    assert [line for line in str(first).splitlines() if line.startswith("#4") and "nothing of the image stands" in line]


@pytest.mark.needs("busybox")
def test_a_failure_points_at_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_HOME", str(tmp_path / "kit"))
    with pytest.raises(kit.KitError, match=r"(?s)Dockerfile:2:1: .*   2 ▶ RUNN true\n     │ \^"):
        kit.build(tmp_path, "FROM busybox\nRUNN true\n")
    with pytest.raises(kit.KitError, match=r"(?s)^so it goes\nDockerfile:2:1: .*exit code: 3.*   2 ▶ RUN") as failed:
        kit.build(tmp_path, "FROM busybox\nRUN echo so it goes; exit 3\n")
    assert failed.value.figure["exit 3"].how == "failed"
    with pytest.raises(kit.KitError, match="no directory"):
        kit.build(tmp_path / "nowhere")


@pytest.mark.needs("busybox")
def test_a_job_builds_in_a_place_of_its_own_and_finds_what_is_hidden(tmp_path: Path) -> None:
    hiding = "FROM busybox\nARG T\nENV E=$T\nCOPY t /t\nRUN rm /t && echo $T > /u\n"
    job = {"builds": [
        {"dockerfile": hiding, "files": {"t": "s3cret-7"}, "args": {"T": "s3cret-7"}, "find": ["s3cret-7"]},
        {"dockerfile": "FROM busybox\nRUN --mount=type=secret,id=t,required=true wc -c < /run/secrets/t > /n\n",
         "files": {"t": None}, "secrets": {"t": "s3cret-7"}, "find": ["s3cret-7"]},
        {"dockerfile": "FROM busybox\nCOPY t /t\n"}, {"dockerfile": "FROM busybox\n  COPI t /t\n"}]}
    done = subprocess.run([sys.executable, "-m", "kitlib.images.build.job"], input=json.dumps(job), text=True,
                          env={**os.environ, "KIT_JOB": str(tmp_path)}, capture_output=True, check=True)
    leaky, clean, missing, wrong = json.loads(done.stdout)
    assert {"config", "layer 2 /t", "layer 3 /u"} <= set(leaky["found"]["s3cret-7"])
    assert clean["found"] == {"s3cret-7": []}
    assert clean["tree"]["n"] == [2, 0, 0, 0o644]
    assert "'t': not found in the build context" in missing["error"]["text"]
    assert (wrong["error"]["kind"], wrong["error"]["line"]) == ("dockerfile", 2)
