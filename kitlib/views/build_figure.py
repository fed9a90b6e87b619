"""How a build shows itself in a notebook: its graph as a picture, as text everywhere else; and two builds compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kitlib.images.build.report import Report, StepReport, compare
from kitlib.views import build_svg, build_text
from kitlib.views.grid import Cell, Column, Grid, GridFigure


class BuildFigure:
    """A build.  `.report` is the data, `.svg` the picture, `str()` the text, `.output` what its steps have printed."""

    def __init__(self, report: Report, title: str = "") -> None:
        self.report, self.title = report, title

    @property
    def svg(self) -> str:
        return build_svg.render(self.report, self.title)

    @property
    def output(self) -> str:
        return build_text.outputs(self.report)

    def __getitem__(self, text: str) -> StepReport:
        """The first step with this text in its instruction: `built["pkg install"].how`."""
        return self.report.step(text)

    def __iter__(self) -> Iterator[StepReport]:
        return iter(self.report.steps)

    def __str__(self) -> str:
        return build_text.render(self.report)

    __repr__ = __str__

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        # HTML rather than image/svg+xml: then the picture is part of the page and follows its theme.
        return {"text/html": self.svg, "text/plain": str(self)}


def grid(before: Report, after: Report) -> Grid:
    """Two builds, instruction by instruction: which one broke the cache, and why."""
    columns = (Column("first build", ""), Column("second build", ""))
    rows = []
    for change in compare(before, after):
        shown = change.after or change.before
        assert shown is not None
        if change.verdict in ("noted", "skipped"):
            continue
        stage = f" {shown.stage}:" if len(after.stages) > 1 else ""
        name = build_svg.fit(f"#{shown.number}{stage} {shown.title}", 47)
        rows.append((name, (_cell(change.before), _cell(change.after)), build_text.verdict(change), change.verdict))
    broke = [change for change in compare(before, after) if change.verdict in ("broke", "new")]
    foot = "; ".join(f"line {c.after.line}, {c.after.title}: {c.why}" for c in broke if c.after)
    return Grid("Which instruction broke the cache", columns, tuple(rows),
                (foot or "No instruction: all that could be kept was kept.",))


def _cell(step: StepReport | None) -> Cell:
    if step is None:
        return Cell()
    took = f" {build_text.seconds(step.seconds)}" if step.worked else ""
    return Cell(f"{build_svg.WORDS[step.how]}{took}", step.how)


class ComparedFigure(GridFigure):
    """Two builds side by side."""

    def __init__(self, before: Report, after: Report) -> None:
        super().__init__(grid(before, after), names=380, verdicts=325)
