"""How a figure shows itself: as SVG in a notebook, as text everywhere else, and alive where it is asked to be.

A live figure asks the cluster for new records a few times a second in a thread of its own and redraws
only when something happened, so a busy cluster never floods the kernel.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from kitlib.objects.errors import StatusError
from kitlib.trace import rebuild
from kitlib.trace.flow import Flow, build, parse_target
from kitlib.views import flow_svg, flow_text

REFRESH_SECONDS = 0.2


class FlowFigure:
    """A drawn flow.  `.flow` is the data, `.svg` the picture, `str()` the text."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow

    @property
    def svg(self) -> str:
        return flow_svg.render(self.flow)

    def __str__(self) -> str:
        return flow_text.render(self.flow)

    __repr__ = __str__

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        # HTML rather than image/svg+xml: then the picture is part of the page and follows its theme.
        return {"text/html": self.svg, "text/plain": str(self)}


def fetch(client: Any, target: str, namespace: str) -> Flow:
    """The flow of an object: from the embedded cluster's own records, else rebuilt from what objects remember."""
    resource, name = parse_target(target)
    found, rebuilt = rebuild.known(client, resource, namespace, name)
    return build(found, target, namespace, rebuilt=rebuilt)


def flow(target: str, *, namespace: str, cluster: Any, live: bool = False, seconds: float = 30.0) -> Any:
    """Draw what happened to "rs/web".  live: show it and keep it up to date for `seconds` (returns at once)."""
    client = cluster.client("kit-flow")
    figure = FlowFigure(fetch(client, target, namespace))
    if not live:
        return figure
    from IPython.display import display

    handle = display(figure, display_id=True)

    def look() -> Flow:
        return fetch(client, target, namespace)

    threading.Thread(target=_follow, args=(look, figure.flow, handle, time.monotonic() + seconds), name="kit-flow",
                     daemon=True).start()
    return None


def _follow(look: Callable[[], Flow], shown: Flow, handle: Any, end: float) -> None:
    while time.monotonic() < end:
        time.sleep(REFRESH_SECONDS)
        try:
            newest = look()
        except (StatusError, OSError):
            continue  # the cluster restarts, or the object is not there yet: the next look will tell
        if newest != shown:
            shown = newest
            handle.update(FlowFigure(newest))
