"""Builds in a notebook: `kit.build`, with a picture that is alive while it goes on.

    built = kit.build("shop")                      shop/Dockerfile, with shop/ as its context
    built = kit.build("shop", '''FROM busybox …''', tag="kit/shop", target="test", secrets={"token": "s3cret"})
    built["RUN make"].how                          "ran", "cached", …
    kit.project("shop")                            one of the book's small projects, as a directory
    kit.compare_builds(first, second)              which instruction broke the cache, and why
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.cluster.errors import KitError, UsageError
from kitlib.views.build_figure import BuildFigure, ComparedFigure

if TYPE_CHECKING:
    from kitlib.images.build.report import Report, Watch

REFRESH_SECONDS = 0.2


class BuildFailed(KitError):
    """A build that came to no image.  The message shows the place in the file; `figure` how far it came."""

    def __init__(self, message: str, figure: BuildFigure | None = None, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.figure, self.line, self.column = figure, line, column


class Build(BuildFigure):
    """What `kit.build` returns.  name: the image's; `str()`, `.svg`, `.output`, `.report` as every BuildFigure."""

    def __init__(self, report: Report, title: str, name: str, shown: int) -> None:
        super().__init__(report, title)
        self.name, self._shown = name, shown

    @property
    def image(self) -> str:
        """The image's id."""
        return self.report.image

    @property
    def digest(self) -> str:
        """The digest of its manifest: the same for the same image, bit for bit."""
        return self.report.digest

    def _ipython_display_(self) -> None:
        """Not twice: a cell that ends with `kit.build(…)` has shown it already, while it went on."""
        from IPython.display import display

        if self._shown == 0 or self._shown != _cell_number():
            display(BuildFigure(self.report, self.title))


def build(context: str | Path = ".", dockerfile: str | Path | None = None, *, tag: str = "", target: str = "",
          args: Mapping[str, str] | None = None, secrets: Mapping[str, str | bytes | Path] | None = None,
          no_cache: bool = False, show: bool = True) -> Build:
    """Build an image; in a notebook the graph is drawn while it goes on.

    context: the directory that COPY takes from.  dockerfile: its text (several lines), or a file of the context;
    without it the context's own.  secrets: id → content, or the Path of a file; for RUN --mount=type=secret.
    The image lands in the store of this user's clusters.  Raises BuildFailed, which shows the place.
    """
    from kitlib.images.build.build import BuildError, Settings
    from kitlib.images.build.dockerfile import DockerfileError
    from kitlib.images.build.job import make
    from kitlib.images.errors import ImageError
    from kitlib.images.store import default_store

    place = Path(context)
    if not place.is_dir():
        raise UsageError(f"{context} is no directory: a build needs one as its context.")
    file, text = _dockerfile(place, dockerfile)
    given = {name: _secret(name, value) for name, value in (secrets or {}).items()}
    settings = Settings(dict(args or {}), target, {}, given, no_cache, file)
    name = _name(tag)
    title = f"kit build {context}" + (f" -t {tag}" if tag else "") + (f" --target {target}" if target else "")
    watches: list[Watch] = []
    live = _Live(title) if show and _cell_number() else None

    def started(watch: Watch) -> None:
        watches.append(watch)
        if live:
            live.begin(watch)

    try:
        built, report = make(default_store(), place, text, settings, [name] if name else (), started=started)
    except DockerfileError as error:
        raise BuildFailed(_pointed(text, str(error), error.place.line, error.place.column), None, error.place.line,
                          error.place.column) from None
    except BuildError as error:
        figure = BuildFigure(watches[0].broken(), title)
        if live:
            live.end(figure)
        said = next((s.output for s in figure if s.number == error.step.number), "").strip()
        told = "\n".join([*said.splitlines()[-8:], _pointed(text, str(error), error.step.line, error.step.column)])
        raise BuildFailed(told, figure, error.step.line, error.step.column) from None
    except ImageError as error:
        raise BuildFailed(f"{file}: {error}.") from None
    finally:
        if live:
            live.stop()
    figure = Build(report, title, name, _cell_number() if live else 0)
    if live:
        live.end(figure)
    for warning in built.plan.warnings:
        print(warning)
    return figure


def project(name: str, place: str | Path = "") -> None:
    """One of the small projects (toolchain, shop, invoice) as a directory; one that is there is as new again."""
    from kitlib.images.samples import PROJECTS, put

    if name not in PROJECTS:
        raise UsageError(f"there is no project {name!r}: there are {', '.join(PROJECTS)}.")
    directory = Path(place or name)
    known = directory.is_dir()
    put(directory, PROJECTS[name])
    if known:
        print(f"{directory}/ is as new again")
        return
    for path, text in sorted(PROJECTS[name].items()):
        print(f"{directory / path}  {len(text.encode())} bytes")


def compare_builds(first: BuildFigure, second: BuildFigure) -> ComparedFigure:
    """Which instruction of the second build could not be taken from the cache that the first one left, and why."""
    return ComparedFigure(first.report, second.report)


class _Live:
    """The picture of a build that goes on: drawn anew a few times a second, in a thread of its own."""

    def __init__(self, title: str) -> None:
        self._title, self._stopped = title, threading.Event()
        self._handle: Any = None
        self._thread: threading.Thread | None = None

    def begin(self, watch: Watch) -> None:
        from IPython.display import display

        self._handle = display(BuildFigure(watch.report(), self._title), display_id=True)
        self._thread = threading.Thread(target=self._follow, args=(watch,), name="kit-build", daemon=True)
        self._thread.start()

    def _follow(self, watch: Watch) -> None:
        while not self._stopped.wait(REFRESH_SECONDS):
            self._handle.update(BuildFigure(watch.report(), self._title))

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def end(self, figure: BuildFigure) -> None:
        self.stop()
        if self._handle is not None:
            self._handle.update(BuildFigure(figure.report, self._title))


def _cell_number() -> int:
    """Of the cell that runs; 0 outside of notebooks."""
    try:
        from IPython import get_ipython
    except ImportError:
        return 0
    shell = get_ipython()
    return shell.execution_count if shell is not None else 0


def _dockerfile(context: Path, given: str | Path | None) -> tuple[str, str]:
    """(its name, as complaints call it; its text)."""
    if isinstance(given, str) and "\n" in given:
        return "Dockerfile", given.lstrip("\n")
    path = context / (given or "Dockerfile")
    if given and not path.exists() and Path(given).exists():
        path = Path(given)
    try:
        return path.name, path.read_text()
    except FileNotFoundError:
        raise UsageError(f"there is no {path}: give the Dockerfile's text, or the name of a file.") from None
    except (UnicodeDecodeError, IsADirectoryError):
        raise KitError(f"{path} is no text that could be a Dockerfile.") from None


def _secret(name: str, value: str | bytes | Path) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return value.read_bytes() if isinstance(value, Path) else value.encode()
    except OSError as error:
        raise KitError(f"secret {name}: {value} cannot be read: {error.strerror}.") from None


def _name(tag: str) -> str:
    from kitlib.images.reference import parse

    found = parse(tag) if tag else None
    if tag and (found is None or found.digest):
        raise UsageError(f"{tag!r} is no name for an image: try something like kit/app:v1.")
    return str(found) if found else ""


def _pointed(text: str, complaint: str, line: int, column: int) -> str:
    """The complaint, and below it the place: the line, and an arrow where it is wrong."""
    lines = text.split("\n")
    shown = []
    for number in range(max(1, line - 1), min(len(lines), line + 1) + 1):
        shown.append(f"{number:4} {'▶' if number == line else '│'} {lines[number - 1]}")
        if number == line:
            shown.append(f"{'':4} │ {' ' * (column - 1)}^")
    return "\n".join([complaint, *shown])
