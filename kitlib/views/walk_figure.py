"""A packet's walk that shows itself: as SVG in a notebook, as text everywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kitlib.views import walk_svg, walk_text


class WalkFigure:
    """`.walk` is the plain data (as `kit walk --json` prints it), `.svg` the picture, `str()` the text.

    `.endpoint` is "ip:port" or "" and `.outcome` one of endpoint, REJECT, DROP, passes.
    """

    def __init__(self, walk: Mapping[str, Any]) -> None:
        self.walk = walk

    @property
    def outcome(self) -> str:
        return str(self.walk["outcome"])

    @property
    def endpoint(self) -> str:
        return str(self.walk["endpoint"])

    @property
    def chains(self) -> list[str]:
        """The chains (or virtual servers) that it went through, in order, each once."""
        return list(dict.fromkeys(step["chain"] for step in self.walk["steps"]))

    @property
    def odds(self) -> dict[str, float]:
        """Each endpoint that chance may lead to, with its probability."""
        return {choice["address"]: choice["probability"] for choice in self.walk["choices"]}

    @property
    def svg(self) -> str:
        return walk_svg.render(self.walk)

    def __str__(self) -> str:
        return walk_text.render(self.walk)

    __repr__ = __str__

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        # HTML rather than image/svg+xml: then the picture is part of the page and follows its theme.
        return {"text/html": self.svg, "text/plain": str(self)}
