"""The container engine as a check sees it: images by what is in them, containers by what they have changed.

    shop = world.engine.image("lab03/shop:1", "`docker build -t NAME .` gives an image its name.")
    shop.layers                 diff ids, the lowest first: equal ids are the same files, whoever says so
    shop.config                 Entrypoint, Env, User …;  shop.history: one entry an instruction
    shop.files                  what a container of it would see;  shop.read("etc/motd"): bytes, or None
    shop.layers_with(b"s3cret") numbers of the layers in which these bytes lie, hidden or not; shop.holding("etc/motd")
    shop.report                 the explorer's: layers, changes, waste, efficiency, secrets

    world.engine.diff("box")    {"/etc/motd": "C", …}, as `docker diff` prints it
    world.engine.container("box")   as `docker inspect` prints it, or None
    world.engine.run("lab03/shop:1", "cat", "/etc/motd")    a fresh container: its exit code and what it printed

It speaks the Docker Engine API, so it is the same for Docker and for the embedded engine; in grading it is an engine
that the grader has started for this submission (grading/engine.py).  Nothing that a notebook says is believed, and of
what the engine says only what can be checked: an image is fetched whole (`docker save`) into a store of the check's
own, where every blob must have its digest and every layer its diff id.  What a container has changed only its engine
knows.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.checks.wrong import Wrong
from kitlib.images import compression
from kitlib.images.archive import load
from kitlib.images.errors import ImageError
from kitlib.images.explorer import contents
from kitlib.images.explorer.analyse import analyse
from kitlib.images.explorer.report import Report
from kitlib.images.explorer.scan import FILE, File
from kitlib.images.explorer.source import Place
from kitlib.images.store import ImageStore, StoredImage

if TYPE_CHECKING:
    import docker

LARGEST = 200_000_000  # bytes of an image that a check looks at
LETTERS = {0: "C", 1: "A", 2: "D"}
PATIENCE = 30  # seconds for one answer of the engine


class Image:
    """An image, verified.  name: what was asked for."""

    def __init__(self, name: str, store: ImageStore, stored: StoredImage) -> None:
        self.name, self._store, self._stored = name, store, stored

    @property
    def id(self) -> str:
        """The digest of its configuration."""
        return self._stored.id

    @property
    def layers(self) -> tuple[str, ...]:
        return self._stored.diff_ids

    @property
    def config(self) -> dict[str, Any]:
        """What containers of it begin with: Entrypoint, Cmd, Env, User, WorkingDir, Labels …"""
        return self._stored.config.get("config") or {}

    @property
    def history(self) -> list[dict[str, Any]]:
        return self._stored.config.get("history") or []

    @cached_property
    def report(self) -> Report:
        return analyse(self._store, self._stored)

    @cached_property
    def files(self) -> dict[str, File]:
        """Path (without a leading slash) → what is there."""
        return self.report.tree.files()

    def read(self, path: str) -> bytes | None:
        """What is in a file that a container would see; None if there is no such file.  Links are not followed."""
        _, number = self.report.tree.get(path.strip("/")) or (None, 0)
        return self.read_in(number, path) if number else None

    def read_in(self, number: int, path: str) -> bytes | None:
        """The same, as one layer (from 1, the lowest) has it, hidden or not."""
        file = next((f for f in self.report.layers[number - 1].files if f.path == path.strip("/")), None)
        if file is None or file.kind != FILE:
            return None
        layer = self._blob(number - 1)
        return contents.read(Place(layer, 0, layer.stat().st_size), file)

    def holding(self, path: str, kind: str = FILE) -> list[int]:
        """Numbers of the layers that have an entry of this path; kind WHITEOUT: those that hide it."""
        return [layer.number for layer in self.report.layers
                if any(file.path == path and file.kind == kind for file in layer.files)]

    def layers_with(self, needle: bytes) -> list[int]:
        """Numbers (from 1, the lowest) of the layers in which these bytes lie: in a file, or in a name."""
        return [number for number in range(1, len(self.layers) + 1) if self._contains(number - 1, needle)]

    def _blob(self, index: int) -> Path:
        return self._store.blob(self._stored.layers[index].digest)

    def _contains(self, index: int, needle: bytes) -> bool:
        with self._blob(index).open("rb") as stream:
            plain, before = compression.plain(stream), b""
            while piece := plain.read(1 << 20):
                if needle in before + piece:
                    return True
                before = (before + piece)[-len(needle):]
        return False


class Engine:
    """host: as in DOCKER_HOST."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._known: dict[str, tuple[ImageStore, StoredImage]] = {}
        self._place = Path(tempfile.mkdtemp(prefix="kit-check-"))
        self._removed = weakref.finalize(self, shutil.rmtree, self._place, True)

    @cached_property
    def api(self) -> docker.APIClient:
        """The `docker` SDK's client, for what is not here."""
        import docker

        return docker.APIClient(base_url=self.host, version="auto", timeout=PATIENCE)

    def close(self) -> None:
        """Forget what was fetched.  Else it goes with the process."""
        self._removed()

    # Images.

    def image(self, name: str, hint: str) -> Image:
        """What the learner was to make.  Raises Wrong with the names of those there are."""
        found = self.find(name)
        if found is None:
            raise Wrong(f"there is no image {name}", hint, expected=name, actual=self.names(name.partition("/")[0]))
        return found

    def find(self, name: str) -> Image | None:
        """By name or id.  Raises Wrong if what the engine gives for it is not whole."""
        from docker.errors import NotFound

        try:
            identity = self.api.inspect_image(name)["Id"]
            if identity not in self._known:
                self._known[identity] = self._fetch(name)
        except NotFound:
            return None
        return Image(name, *self._known[identity])

    def names(self, beginning: str = "") -> list[str]:
        """Names of the images there are, such as lab03/shop:1."""
        tags = [tag for image in self.api.images() for tag in image.get("RepoTags") or ()]
        return sorted(tag for tag in tags if tag.startswith(beginning) and "<none>" not in tag)

    def _fetch(self, name: str) -> tuple[ImageStore, StoredImage]:
        store = ImageStore(self._place / "store")
        with tempfile.NamedTemporaryFile(dir=self._place) as file:
            size = 0
            for piece in self.api.get_image(name):
                size += len(piece)
                if size > LARGEST:
                    raise Wrong(f"the image {name} is larger than {LARGEST // 1_000_000} MB",
                                "Nothing here needs as much. `docker history` shows which instruction it was.")
                file.write(piece)
            file.flush()
            try:
                return store, load(store, Path(file.name))[0]
            except (ImageError, IndexError) as error:
                raise Wrong(f"the image {name} is not whole: {error}", "An engine only runs what agrees with itself: "
                            "every blob is named by its digest, every layer by its diff id.") from None

    # Containers.

    def container(self, name: str) -> dict[str, Any] | None:
        from docker.errors import NotFound

        try:
            return self.api.inspect_container(name)
        except NotFound:
            return None

    def diff(self, name: str) -> dict[str, str]:
        """Path → A (added), C (changed) or D (deleted), for what a container's own layer has."""
        return {each["Path"]: LETTERS[each["Kind"]] for each in self.api.diff(name) or ()}

    def run(self, image: str, *command: str, entrypoint: Sequence[str] = (), seconds: float = 10) -> tuple[int, str]:
        """A container of its own, gone afterwards: exit code (-1: it did not end), and what it printed.

        What cannot be started ends with 127 and the engine's words.
        """
        from docker.errors import APIError

        made = ""
        try:
            made = self.api.create_container(image, list(command) or None, entrypoint=list(entrypoint) or None)["Id"]
            self.api.start(made)
            try:
                code = self.api.wait(made, timeout=seconds)["StatusCode"]
            except APIError:
                raise
            except OSError:  # the SDK's timeouts are requests', which are OSErrors
                code = -1
            return code, self.api.logs(made).decode(errors="replace")
        except APIError as refusal:
            if refusal.status_code is None or (refusal.is_server_error() and "exec" not in str(refusal)):
                raise
            return 127, str(refusal.explanation)
        finally:
            if made:
                self.api.remove_container(made, force=True)
