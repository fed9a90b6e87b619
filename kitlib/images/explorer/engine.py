"""Images and containers of a Docker Engine, the real one or ours, through the `docker` SDK.

    engine = connect()                  $DOCKER_HOST, else /var/run/docker.sock
    engine.opened("app:1")              as `docker save` gives it (or straight from our store, if that has it)
    engine.container("web")             its image, and what it has written on top: `docker diff` with sizes

Source: Docker Engine API, v1.41: ImageGet, ContainerChanges, ContainerArchiveInfo.
"""

from __future__ import annotations

import base64
import contextlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kitlib.images.errors import ImageError
from kitlib.images.explorer import places
from kitlib.images.explorer.analyse import analyse_placed
from kitlib.images.explorer.report import ADDED, CHANGED, REMOVED, Report, share
from kitlib.images.explorer.scan import DIRECTORY, FILE, LINK, OTHER
from kitlib.images.store import ImageStore, default_store

_KINDS = {0: CHANGED, 1: ADDED, 2: REMOVED}
_TYPES = ((DIRECTORY, 1 << 31), (LINK, 1 << 27), (OTHER, 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19))  # Go's bits
MOST_SIZES = 5_000


@dataclass(frozen=True)
class Written:
    """What a container did to one path.  of: directory, file, link, hard link, other.

    before: bytes that the image has there; layer: which of its layers has it (or None).  mode: in octal; the engine
    does not tell the owner.
    """

    path: str
    kind: str
    of: str
    size: int
    before: int
    layer: int | None
    mode: str

    def json(self) -> dict[str, Any]:
        return {"path": self.path, "kind": self.kind, "type": self.of, "size": self.size, "before": self.before,
                "from": self.layer, "rights": self.mode, "rightsBefore": ""}


@dataclass(frozen=True)
class ReadWriteLayer:
    """size: of the files in it, as the engine says where it says it."""

    name: str
    id: str
    status: str
    size: int
    changes: tuple[Written, ...]

    def json(self) -> dict[str, Any]:
        return {"name": self.name, "id": self.id, "status": self.status, "size": self.size,
                "changes": [change.json() for change in self.changes]}


def connect(client: Any = None) -> Engine:
    """client: a docker.DockerClient (else one from the environment).  Raises ImageError if no engine answers."""
    try:
        import docker
        from docker.errors import DockerException
    except ImportError as error:
        raise ImageError("asking a Docker Engine needs the package docker: `pip install docker`") from error
    try:
        given = client or docker.from_env(timeout=60)
        given.ping()
    except (DockerException, OSError) as error:
        raise ImageError(f"no Docker Engine answers: {_short(error)}") from error
    return Engine(given)


class Engine:
    def __init__(self, client: Any, store: ImageStore | None = None) -> None:
        self._client, self._api = client, client.api
        self._store = store or default_store()

    def has(self, name: str) -> bool:
        from docker.errors import DockerException

        try:
            self._api.inspect_image(name)
        except (DockerException, OSError):
            return False
        return True

    @contextlib.contextmanager
    def opened(self, name: str, *, verify: bool = False) -> Iterator[Report]:
        """An image, its layers in place as long as the context lasts.  Raises ImageError if there is none."""
        from docker.errors import DockerException, NotFound

        try:
            about = self._api.inspect_image(name)
        except NotFound as error:
            raise ImageError(f"the Docker Engine has no image {name}") from error
        except (DockerException, OSError) as error:
            raise ImageError(f"the Docker Engine does not show image {name}: {_short(error)}") from error
        tags = about.get("RepoTags") or []
        shown = name if name in tags or f"{name}:latest" in tags else (tags or [name])[0]
        with self._analysed(about["Id"], shown, verify) as report:
            share(report, self._layers_of_all(about["Id"]))
            yield report

    @contextlib.contextmanager
    def _analysed(self, image_id: str, name: str, verify: bool) -> Iterator[Report]:
        from docker.errors import DockerException

        here = self._store.find(image_id)
        if here is not None and here.id == image_id:  # an engine of ours keeps its images there
            placed = places.stored(self._store, here)
            if verify:
                places.verify(placed)
            yield analyse_placed(placed, name)
            return
        with tempfile.NamedTemporaryFile(prefix="kit-layers-") as file:
            try:
                for piece in self._api.get_image(image_id):
                    file.write(piece)
            except (DockerException, OSError) as error:
                raise ImageError(f"the Docker Engine does not give image {name} away: {_short(error)}") from error
            file.flush()
            with places.images(Path(file.name)) as found:
                if verify:
                    places.verify(found[0])
                yield analyse_placed(found[0], name)

    def _layers_of_all(self, but: str) -> Iterable[tuple[str, list[str]]]:
        from docker.errors import DockerException

        for each in self._api.images():
            if each["Id"] != but and each.get("RepoTags") and each["RepoTags"] != ["<none>:<none>"]:
                try:
                    about = self._api.inspect_image(each["Id"])
                except DockerException:
                    continue  # gone since
                yield each["RepoTags"][0], (about.get("RootFS") or {}).get("Layers") or []

    def container(self, name: str, *, verify: bool = False) -> tuple[Report, ReadWriteLayer]:
        """Raises ImageError if there is no such container."""
        from docker.errors import DockerException, NotFound

        try:
            about = self._api.inspect_container(name)
            same = self._api.containers(all=True, size=True, filters={"id": about["Id"]})
            sized: dict[str, Any] = next(iter(same), {})
            changes = self._api.diff(about["Id"]) or []
        except NotFound as error:
            raise ImageError(f"the Docker Engine has no container {name}") from error
        except (DockerException, OSError) as error:
            raise ImageError(f"the Docker Engine does not show container {name}: {_short(error)}") from error
        with self.opened(about["Image"], verify=verify) as report:
            pass  # nothing more of its layers is needed
        configured = (about.get("Config") or {}).get("Image") or ""
        if configured and not configured.startswith("sha256:"):
            report.name = configured
        written = self._written(about["Id"], changes, report)
        size = sized.get("SizeRw")
        return report, ReadWriteLayer(about["Name"].lstrip("/"), about["Id"], about["State"]["Status"],
                                      sum(each.size for each in written if each.kind != REMOVED)
                                      if size is None else size, tuple(written))

    def _written(self, container: str, changes: list[dict[str, Any]], report: Report) -> list[Written]:
        found = []
        paths = {change["Path"] for change in changes}
        above = {path.rpartition("/")[0] for path in paths}
        for number, change in enumerate(sorted(changes, key=lambda change: change["Path"])):
            path, kind = change["Path"], _KINDS.get(change["Kind"], CHANGED)
            old = report.tree.get(path.lstrip("/"))
            before, layer = (old[0].size, old[1]) if old is not None else (0, None)
            if kind == REMOVED:
                found.append(Written(path, kind, old[0].kind if old is not None else OTHER, before, before, layer,
                                     ""))
                continue
            of, size, mode = self._stat(container, path) if number < MOST_SIZES else (FILE, 0, "")
            if of == DIRECTORY and kind == CHANGED and path in above:
                continue  # something in it changed: that is what is shown
            found.append(Written(path, kind, of, size, before, layer, mode))
        return found

    def _stat(self, container: str, path: str) -> tuple[str, int, str]:
        """What it is, of a file its bytes, and its mode.  One that vanishes meanwhile has none."""
        url = f"{self._api.base_url}/v{self._api.api_version}/containers/{container}/archive"
        answer = self._api.head(url, params={"path": path}, timeout=60)
        try:
            about = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
            mode, size = int(about["mode"]), int(about["size"])
        except (KeyError, ValueError, TypeError):
            return FILE, 0, ""
        of = next((name for name, bits in _TYPES if mode & bits), FILE)
        return of, size if of == FILE else 0, f"{mode & 0o777:04o}"


def _short(error: Exception) -> str:
    return str(getattr(error, "explanation", "") or error).strip().rstrip(".").splitlines()[0][:300]
