"""Builds as a check sees them: it builds the learner's Dockerfile itself, and measures.

    answer (a Dockerfile's text) ──▶ a process of its own: a fresh store, the book's own files as context,
                                     a fresh cache, secrets that nobody has seen ──▶ reports, images, traces

Nothing that a notebook says of its builds is believed, and nothing of its store or its cache is used.  RUN carries out
a learner's commands; so a grader confines that process as it confines a learner's kernel (`World.confined`).
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kitlib.checks.world import Confine, World
from kitlib.checks.wrong import Wrong
from kitlib.images.build.report import Report, StepReport
from kitlib.images.samples import TOOLCHAIN, TOOLCHAIN_IMAGE

SECONDS = 100  # all builds of one check
_KEPT = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "PYTHONPATH", "KIT_BUILD", "KIT_PROOT")
_NO_RUN = "RUN cannot be carried out here"


@dataclass(frozen=True)
class Image:
    """What a build came to.  tree: path → (bytes, uid, gid, mode); found: a text → where in the image it stands."""

    report: Report
    config: Mapping[str, Any]
    tree: Mapping[str, tuple[int, int, int, int]]
    found: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Env, Cmd, User … of its containers."""
        return self.config.get("config") or {}


@dataclass(frozen=True)
class Failure:
    """A build that came to nothing.  kind: dockerfile, step or image; output: what the step had printed."""

    kind: str
    text: str
    line: int
    column: int
    output: str

    def __str__(self) -> str:
        return f"Dockerfile:{self.line}: {self.text}"


def attempt(world: World, *builds: Mapping[str, Any]) -> list[Image | Failure]:
    """Build, one after the other, with one cache; kit/toolchain is there.  builds: see kitlib/images/build/job.py.

    Raises OSError where RUN cannot be carried out at all, and Wrong if it does not end.
    """
    place = Path(tempfile.mkdtemp(prefix="kit-check-"))
    try:
        shutil.copytree(_prepared(), place / "images", ignore=shutil.ignore_patterns("unpacked", "flat"))
        counted = [{**each, "dockerfile": each["dockerfile"].lstrip("\n")} for each in builds]  # as kit.build does
        results = _carry_out(counted, place, world.confined)
    except subprocess.TimeoutExpired:
        raise Wrong("the build did not end", "Which step waits, and for what? Build it in the notebook: the picture "
                    "shows the one that runs.") from None
    finally:
        shutil.rmtree(place, ignore_errors=True)
    for result in results:
        if isinstance(result, Failure) and _NO_RUN in result.text:
            raise OSError(result.text)
    return results


_stores: list[Path] = []


def _prepared() -> Path:
    """A store with kit/toolchain: it is our own, so it is built once, and copied for every check.

    It lies in /tmp, where others may tidy up while a notebook is open for days: then it is built once more.
    """
    if _stores and (_stores[-1] / "oci" / "index.json").exists():
        return _stores[-1]
    place = Path(tempfile.mkdtemp(prefix="kit-toolchain-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    (built,) = _carry_out([{"dockerfile": TOOLCHAIN["Dockerfile"], "files": TOOLCHAIN, "tag": TOOLCHAIN_IMAGE}], place,
                          lambda argv, work: list(argv))
    if isinstance(built, Failure):
        raise OSError(f"kit/toolchain cannot be built: {built}")
    _stores.append(place / "images")
    return _stores[-1]


def _carry_out(builds: Sequence[Mapping[str, Any]], place: Path, confined: Confine) -> list[Image | Failure]:
    env = {name: os.environ[name] for name in _KEPT if name in os.environ} | {"KIT_PULL": "never"}
    env |= {name: str(place) for name in ("HOME", "TMPDIR", "KIT_HOME", "KIT_JOB")}
    done = subprocess.run(confined([sys.executable, "-m", "kitlib.images.build.job"], place), text=True, env=env,
                          input=json.dumps({"builds": list(builds)}), capture_output=True, timeout=SECONDS, check=False)
    try:
        return [_result(each) for each in json.loads(done.stdout)]
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise OSError(f"the builder's process ended with {done.returncode}: {last[0][:300]}") from None


def _result(found: Mapping[str, Any]) -> Image | Failure:
    if "error" in found:
        return Failure(**found["error"])
    tree = {path: tuple(numbers) for path, numbers in found["tree"].items()}
    return Image(Report.of(found["report"]), found["config"], tree, found["found"])  # type: ignore[arg-type]


def images(world: World, *builds: Mapping[str, Any]) -> list[Image]:
    """The same, where all of them have to come to an image."""
    return whole(attempt(world, *builds))


def whole(results: Sequence[Image | Failure]) -> list[Image]:
    """Raises Wrong with the place and what the step said, if one came to nothing."""
    for result in results:
        if isinstance(result, Failure):
            said = result.output.strip().splitlines()[-3:]
            raise Wrong(f"your Dockerfile does not build: {result}", "Build it in the notebook, and read what the step "
                        "itself has printed." if said else "The line and the sentence say what the builder cannot do.",
                        actual=said or None)
    return [result for result in results if isinstance(result, Image)]


def step_with(report: Report, text: str, hint: str) -> StepReport:
    """A step of the learner's Dockerfile that carries out a command.  Raises Wrong if there is none."""
    found = [step for step in report.steps if text in step.title and step.kind == "run"]
    if not found:
        raise Wrong(f"no RUN of your Dockerfile has `{text}` in it", hint)
    return next((step for step in found if step.how != "skipped"), found[0])


def said(image: Image, text: str) -> str:
    """What the steps with this text have printed."""
    return "".join(step.output for step in image.report.steps if text in step.title)


def is_moment(text: str, moment: int) -> bool:
    """Whether a text names this second, or at least its day."""
    at = datetime.fromtimestamp(moment, timezone.utc)
    return str(moment) in text or (str(at.year) in text and f"{at:%H:%M}" in text) or f"{at:%Y-%m-%d}" in text
