"""A request's way into the cluster that shows itself: as SVG in a notebook, as text everywhere else.

Drawn from a `kitlib.traffic.passage.Passage`: what the controller logged and the Pod reported about one real request.
"""

from __future__ import annotations

from typing import Any

from kitlib.traffic.passage import Passage
from kitlib.views import passage_svg


class PassageFigure:
    """`.passage` is the data, `.svg` the picture, `str()` the text."""

    def __init__(self, passage: Passage) -> None:
        self.passage = passage

    @property
    def svg(self) -> str:
        return passage_svg.render(self.passage)

    def __str__(self) -> str:
        return passage_svg.describe(self.passage)

    __repr__ = __str__

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        # HTML rather than image/svg+xml: then the picture is part of the page and follows its theme.
        return {"text/html": self.svg, "text/plain": str(self)}
