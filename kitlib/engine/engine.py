"""The engine itself: its parts, and how they begin and end together.

    engine.store        images, shared with the clusters' nodes      kitlib/images/store.py
    engine.images       what Docker's API does with them             images.py
    engine.containers, engine.networks, engine.volumes               containers/, networks/, volumes/
    engine.events       what happened                                events.py
    engine.state        what must not be forgotten                   state.py
    engine.home         $KIT_HOME/engine: a place for files of the parts' own
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Protocol

from kitlib.engine.containers.manager import Containers
from kitlib.engine.events import Events
from kitlib.engine.images import Images
from kitlib.engine.networks.manager import Networks
from kitlib.engine.state import State
from kitlib.engine.volumes import Volumes
from kitlib.images.store import ImageStore, default_store


class Part(Protocol):
    """Something that lives as long as the engine."""

    async def start(self) -> None:
        """Take up what is in the state: after a kill -9, too."""
        ...

    async def stop(self) -> None: ...


class Engine:
    """home: $KIT_HOME/engine."""

    def __init__(self, home: Path, store: ImageStore | None = None) -> None:
        self.home = home
        self.store = store or default_store()
        self.state = State(home / "state")
        self.events = Events()
        self.images = Images(self)
        self.began = time.time()
        # The parts, in the order in which they start; they stop the other way round.
        self.volumes = Volumes(self)
        self.networks = Networks(self)
        self.containers = Containers(self)
        self.parts: list[Part] = [self.volumes, self.networks, self.containers]

    async def start(self) -> None:
        for leftover in (self.home / "tmp", self.store.root.parent / "build" / "contexts"):
            shutil.rmtree(leftover, ignore_errors=True)  # what was arriving when it was killed
        for part in self.parts:
            await part.start()

    async def stop(self) -> None:
        for part in reversed(self.parts):
            await part.stop()
