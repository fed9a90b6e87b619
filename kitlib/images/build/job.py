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
import posixpath
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kitlib.images import base, compression
from kitlib.images.build.build import Builder, BuildError, Built, Event, Settings
from kitlib.images.build.dockerfile import DockerfileError
from kitlib.images.build.isolation import strongest
from kitlib.images.build.report import Report, Watch
from kitlib.images.errors import ImageError
from kitlib.images.layer import OPAQUE, PREFIX, clean
from kitlib.images.reference import parse as parse_reference
from kitlib.images.samples import put
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
    watch = Watch(builder.plan(text, settings))
    started(watch)

    def both(event: Event) -> None:
        watch.tell(event)
        tell(event)

    built = builder.build(context, text, settings, both, names)
    return built, watch.finished(built, strongest())


def run(job: Mapping[str, Any], place: Path) -> Iterator[dict[str, Any]]:
    """The results of a job's builds, in order.

    job: {"builds": [{"dockerfile", "context": name, "files": {path: text, or null to remove it}, "target", "args",
    "secrets", "tag", "no_cache", "find": [text, …]}, …]}; the files of a context change from build to build.  A result
    has either "report", "config" (the image's), "tree" (path → bytes, uid, gid, mode of what a container sees) and
    "found" (text → places), or "error": {"kind": dockerfile, step or image, "text", "line", "column", "output"}.
    """
    store = ImageStore(place / "images" / "oci")
    for each in job["builds"]:
        context = place / "contexts" / each.get("context", "context")
        context.mkdir(parents=True, exist_ok=True)
        files = each.get("files", {})
        put(context, {name: text for name, text in files.items() if text is not None})
        for name in (name for name, text in files.items() if text is None):
            (context / name).unlink(missing_ok=True)
        yield _one(store, context, each)


def _one(store: ImageStore, context: Path, each: Mapping[str, Any]) -> dict[str, Any]:
    secrets = {name: text.encode() for name, text in each.get("secrets", {}).items()}
    settings = Settings(each.get("args", {}), each.get("target", ""), {}, secrets, each.get("no_cache", False))
    tag = parse_reference(each.get("tag", ""))
    watches: list[Watch] = []
    try:
        built, report = make(store, context, each["dockerfile"], settings, [str(tag)] if tag else (),
                             started=watches.append)
        return {"report": report.json(), "config": built.image.config, "tree": visible(store, built.image),
                "found": {text: traces(store, built.image, text) for text in each.get("find", ())}}
    except DockerfileError as error:
        return {"error": {"kind": "dockerfile", "text": error.sentence, "line": error.place.line,
                          "column": error.place.column, "output": ""}}
    except BuildError as error:
        output = next((s.output for s in watches[0].broken().steps if s.number == error.step.number), "")
        return {"error": {"kind": "step", "text": error.why, "line": error.step.line, "column": error.step.column,
                          "output": output}}
    except ImageError as error:
        return {"error": {"kind": "image", "text": str(error), "line": 1, "column": 1, "output": ""}}


def members(store: ImageStore, image: StoredImage) -> Iterator[tuple[int, str, tarfile.TarInfo, tarfile.TarFile]]:
    """(number of its layer, path without a leading slash, entry, its tar) of all that is in an image, lowest first."""
    for number, layer in enumerate(image.layers, 1):
        with open(store.blob(layer.digest), "rb") as blob, \
                tarfile.open(fileobj=compression.plain(blob), mode="r|") as tar:
            for member in tar:
                yield number, clean(member.name), member, tar


def visible(store: ImageStore, image: StoredImage) -> dict[str, tuple[int, int, int, int]]:
    """What a container of the image sees: path → bytes, uid, gid, mode."""
    tree: dict[str, tuple[int, int, int, int]] = {}
    for _, path, member, _ in members(store, image):
        directory, name = posixpath.split(path)
        if name.startswith(PREFIX):
            hidden = directory if name == OPAQUE else posixpath.join(directory, name.removeprefix(PREFIX))
            for gone in [each for each in tree if each.startswith(f"{hidden}/") or each == hidden != directory]:
                del tree[gone]
        else:
            tree[path] = (member.size, member.uid, member.gid, member.mode & 0o7777)
    return tree


def traces(store: ImageStore, image: StoredImage, text: str) -> list[str]:
    """Where in an image a text stands: "history N", "config", "layer N /PATH" (also where a later layer hides it)."""
    wanted, config = text.encode(), image.config
    found = [f"history {i}" for i, line in enumerate(config.get("history") or (), 1) if text in json.dumps(line)]
    if text in json.dumps({name: part for name, part in config.items() if name != "history"}):
        found.append("config")
    for number, path, member, tar in members(store, image):
        file = tar.extractfile(member) if member.isreg() else None
        if text in path + member.linkname or (file is not None and wanted in file.read()):
            found.append(f"layer {number} /{path}")
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
