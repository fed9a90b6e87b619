"""A load's report in a notebook: the picture there, the text everywhere else."""

from __future__ import annotations

from typing import Any

from kitlib.traffic.load.report import Report, text
from kitlib.views import load_svg


class LoadReport(Report):
    """A report that shows itself.  `.svg` is the picture, `str()` the text."""

    @classmethod
    def of(cls, report: Report) -> LoadReport:
        return cls(**vars(report))

    @property
    def svg(self) -> str:
        return load_svg.render(self)

    def __repr__(self) -> str:
        return text(self)

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        # HTML rather than image/svg+xml: then the picture is part of the page and follows its theme.
        return {"text/html": self.svg, "text/plain": text(self)}
