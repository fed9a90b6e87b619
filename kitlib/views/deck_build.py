"""A build's figures on slides: lab04's shop, read by the real planner, with the times of a quick machine.

    !figure build plan       before anything has run
    !figure build first      everything ran; packages and pictures at the same time
    !figure build again      one source has changed
    !figure build compare    which instruction broke the cache, in a draft that copies everything first
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kitlib.images.build.dockerfile import parse
from kitlib.images.build.plan import plan
from kitlib.images.build.report import INHERITED, Report, StepReport, planned
from kitlib.images.samples import SHOP
from kitlib.views import build_svg
from kitlib.views.build_figure import ComparedFigure

_DRAFT = """FROM kit/toolchain
WORKDIR /shop
COPY . .
RUN pkg install $(cat packages.txt)
RUN bundle /usr/bin/shop src/*.awk /usr/lib/awk/*.awk
"""
_TOOK = {"WORKDIR": 0.02, "COPY": 0.01, "RUN pkg": 0.31, "RUN bundle": 0.09, "RUN sleep": 0.46}
_BYTES = {"RUN pkg": 10_240, "RUN bundle": 2_560, "RUN sleep": 3_072, "COPY": 2_048, "WORKDIR": 1_536}


def _read(text: str) -> Report:
    return planned(plan(parse(text), lambda name: {"config": {}}))


def _run(report: Report, changed: Mapping[str, str] | None = None) -> Report:
    """As if it were built: all of it, or (changed: an instruction → why) what a change leads to."""
    steps: dict[int, StepReport] = {}
    for step in report.steps:
        above = [steps[number] for number in step.needs]
        begin = max((each.ended if each.how == "ran" else each.began for each in above), default=0.0)
        took = next((each for word, each in _TOOK.items() if step.title.startswith(word)), 0.0)
        size = next((each for word, each in _BYTES.items() if step.title.startswith(word)), 0)
        inherited = INHERITED if any(each.why for each in above) else ""
        if step.how == "waiting":
            why = "never built before" if changed is None else changed.get(step.title, "") or inherited
            done = replace(step, how="ran" if why else "cached", why=why, seconds=took, bytes=size)
        else:
            done = replace(step, why=inherited if step.how == "noted" else "")
        steps[step.number] = replace(done, began=begin)
    end = max(each.ended if each.how == "ran" else each.began for each in steps.values())
    return replace(report, steps=tuple(steps.values()), seconds=end + 0.02)


def build(which: str) -> str:
    """One of the figures above.  Raises ValueError for another name."""
    if which == "plan":
        return build_svg.render(_read(SHOP["Dockerfile"]), "What will have to wait for what?")
    if which == "first":
        return build_svg.render(_run(_read(SHOP["Dockerfile"])), "The first build")
    if which == "again":
        changed = {"COPY src src": "src/goods.awk has changed",
                   "COPY --from=program /shop/shop /usr/bin/shop": "shop/shop has changed"}
        return build_svg.render(_run(_read(SHOP["Dockerfile"]), changed), "A price has changed")
    if which == "compare":
        draft = _read(_DRAFT)
        return ComparedFigure(_run(draft), _run(draft, {"COPY . .": "src/goods.awk has changed"})).svg
    raise ValueError(f"{which!r} is none of plan, first, again, compare")
