"""Building in one call: what a notebook, a check and a grader's sandbox have in common.

    make(store, context, text, …)  ──▶  (Built, Report)            with base images made on the way where we can
    python -m kitlib.images.build.job < job.json > results.json    several builds, one after the other, in a store of
                                                                   their own; nothing of the machine's is touched

A job is what a check hands out: the Dockerfile is a learner's, so the process is one that a grader can confine; its
RUN steps see no variable of the grader's, and what comes back is JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kitlib.images import base
from kitlib.images.build.build import Builder, BuildError, Built, Event, Settings
from kitlib.images.build.dockerfile import DockerfileError, parse
from kitlib.images.build.isolation import strongest
from kitlib.images.build.plan import plan
from kitlib.images.build.report import Report, Watch
from kitlib.images.errors import ImageError
from kitlib.images.store import ImageStore, StoredImage


def maker(store: ImageStore, say: Callable[[str], None] = lambda words: None) -> Callable[[str], StoredImage | None]:
    """Gets a base image that is not in the store: made here, or pulled.  Its progress is told as a build's."""
    return lambda name: base.provide(store, name, say)


def make(store: ImageStore, context: Path, text: str, settings: Settings, names: Sequence[str] = (), *,
         started: Callable[[Watch], None] = lambda watch: None,
         tell: Callable[[Event], None] = lambda event: None,
         say: Callable[[str], None] = lambda words: None) -> tuple[Built, Report]:
    """Build, and tell what became of every step.  started: is given the watch, to look at while the build goes on;
    say: progress of a base image.

    Raises DockerfileError, BuildError or ImageError; a watch that was handed out knows how far it came.
    """
    builder = Builder(store, pull=maker(store, say))
    graph = plan(parse(text, settings.file), lambda image: builder.image(image).config, args=settings.args,
                 target=settings.target, file=settings.file)
    watch = Watch(graph)
    started(watch)

    def both(event: Event) -> None:
        watch.tell(event)
        tell(event)

    built = builder.build(context, text, settings, both, names)
    return built, watch.finished(built, strongest())


def put(context: Path, files: Mapping[str, str]) -> None:
    """Small text files below a directory.  Raises ImageError for a path that leaves it."""
    for name, text in files.items():
        place = context / name
        if os.path.isabs(name) or ".." in Path(name).parts:
            raise ImageError(f"{name!r} is no path inside of a build context")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def run(job: Mapping[str, Any], place: Path) -> Iterator[dict[str, Any]]:
    """The results of a job's builds, in order.

    job: {"builds": [{"dockerfile", "files": {path: text, or null to remove it}, "target", "args", "secrets",
    "no_cache", "find": [text, …]}, …]}; files change the one context from build to build.  A result has either
    "report", "config" (the image's), "tree" (path → bytes of its files) and "found" (text → places), or "error"
    {"kind", "text", "line", "column", "output"}.
    """
    store, context = ImageStore(place / "images" / "oci"), place / "context"
    context.mkdir(parents=True)
    for each in job["builds"]:
        files = each.get("files", {})
        put(context, {name: text for name, text in files.items() if text is not None})
        for name in (name for name, text in files.items() if text is None):
            (context / name).unlink(missing_ok=True)
        yield _one(store, context, each)


def _one(store: ImageStore, context: Path, each: Mapping[str, Any]) -> dict[str, Any]:
    secrets = {name: text.encode() for name, text in each.get("secrets", {}).items()}
    settings = Settings(each.get("args", {}), each.get("target", ""), {}, secrets, each.get("no_cache", False))
    watches: list[Watch] = []
    try:
        built, report = make(store, context, each["dockerfile"], settings, started=watches.append)
    except DockerfileError as error:
        return {"error": {"kind": "dockerfile", "text": str(error), "line": error.place.line,
                          "column": error.place.column, "output": ""}}
    except BuildError as error:
        output = next((s.output for s in watches[0].broken().steps if s.number == error.step.number), "")
        return {"error": {"kind": "step", "text": error.why, "line": error.step.line, "column": 1, "output": output,
                          "title": error.step.title}}
    except ImageError as error:
        return {"error": {"kind": "image", "text": str(error), "line": 0, "column": 0, "output": ""}}
    return {"report": report.json(), "config": built.image.config, "tree": _tree(store.flat(built.image)),
            "found": {text: traces(store, built.image, text) for text in each.get("find", ())}}


def _tree(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): path.lstat().st_size for path in sorted(root.rglob("*"))
            if not path.is_dir() or path.is_symlink()}


def traces(store: ImageStore, image: StoredImage, text: str) -> list[str]:
    """Where in an image a text stands: "history N", "config", "layer N PATH" (also where a later layer hides it)."""
    import tarfile

    from kitlib.images import compression

    wanted = text.encode()
    config = image.config
    found = [f"history {i}" for i, line in enumerate(config.get("history") or (), 1) if text in json.dumps(line)]
    if text in json.dumps({name: part for name, part in config.items() if name != "history"}):
        found.append("config")
    for number, layer in enumerate(image.layers, 1):
        with open(store.blob(layer.digest), "rb") as blob, \
                tarfile.open(fileobj=compression.plain(blob), mode="r|") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isreg() else None
                if wanted in (file.read() if file else b"") or text in member.name + member.linkname:
                    found.append(f"layer {number} /{member.name}")
    return found


def main() -> int:
    """One job from stdin; the results to stdout.  $KIT_JOB is the directory it may write to."""
    from kitlib.runtime.process import syscalls

    syscalls.prctl(4, 0)  # PR_SET_DUMPABLE: what RUN starts cannot look into this process, nor write to its stdout
    results = list(run(json.load(sys.stdin), Path(os.environ["KIT_JOB"])))
    json.dump(results, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
