"""A Pod drawn: `anatomy` is what it is, `timeline` what it has been through.  SVG in a notebook, words elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from kitlib.objects.errors import StatusError
from kitlib.trace import podlife
from kitlib.trace.flow import BadTarget
from kitlib.views import life_svg, pod_svg, theme

REFRESH_SECONDS = 0.2


class Drawing:
    """A picture and the same in words.  `.data` is what was drawn."""

    def __init__(self, data: Any, svg: str, words: str) -> None:
        self.data, self.svg, self._words = data, svg, words

    def __str__(self) -> str:
        return self._words

    __repr__ = __str__

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        return {"text/html": self.svg, "text/plain": str(self)}


def _name(target: str) -> str:
    kind, slash, name = target.rpartition("/")
    if slash and kind.lower() not in ("pod", "pods", "po"):
        raise BadTarget(f"{target!r} is not a Pod: give its name, or pod/NAME")
    return name


def anatomy(target: str, *, namespace: str, cluster: Any) -> Drawing:
    """What a Pod consists of.  target: "duo" or "pod/duo".  Raises BadTarget."""
    try:
        pod = cluster.client("kit-view").get("pods", namespace, _name(target))
    except StatusError as error:
        if error.code != 404:
            raise
        return _nothing(_name(target))
    return Drawing(pod, pod_svg.render(pod), pod_svg.describe(pod))


def life(client: Any, target: str, namespace: str) -> podlife.PodLife:
    """What a Pod went through; on the embedded cluster it may be gone already.  Raises StatusError, BadTarget."""
    return podlife.fetch(client, _name(target), namespace, time.time())


def _nothing(name: str) -> Drawing:
    words = life_svg.describe(podlife.PodLife(name))
    line = theme.text(20, 27, words)
    return Drawing(None, theme.svg(life_svg.WIDTH, 44, line, title=words, description=words), words)


def _draw(known: podlife.PodLife) -> Drawing:
    return Drawing(known, life_svg.render(known), life_svg.describe(known))


def timeline(target: str, *, namespace: str, cluster: Any, live: bool = False, seconds: float = 30.0) -> Any:
    """Draw a Pod's life.  live: show it and keep it up to date for `seconds` (returns at once)."""
    client = cluster.client("kit-view")
    if not live:
        try:
            return _draw(life(client, target, namespace))
        except StatusError as error:
            if error.code != 404:
                raise
            return _nothing(_name(target))
    from IPython.display import display

    begun = podlife.PodLife(_name(target))
    handle = display(_draw(begun), display_id=True)

    def look() -> podlife.PodLife:
        return life(client, target, namespace)

    threading.Thread(target=_follow, args=(look, handle, time.monotonic() + seconds), name="kit-timeline",
                     daemon=True).start()
    return None


def _follow(look: Callable[[], podlife.PodLife], handle: Any, end: float) -> None:
    shown: Any = None
    while time.monotonic() < end:
        try:
            newest = look()
        except (StatusError, OSError):
            newest = None  # not there yet, or the cluster restarts: the next look will tell
        if newest is not None and (newest.spans, newest.told) != shown:
            shown = newest.spans, newest.told
            handle.update(_draw(newest))
        time.sleep(REFRESH_SECONDS)
