"""A build: the steps of a plan, run as soon as what they stand on is there, or taken from the cache.

    plan ──▶ keys (nothing is run for them) ──▶ cached? ──yes──▶ its layer
                                                 └─no──▶ wait for the steps it reads ──▶ run ──▶ layer ──▶ cache

Steps that do not wait for each other run at the same time.  What happens is told in events, one form for terminal,
notebook and API.

Source: moby/buildkit, docs/dev/solver.md.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kitlib.images.build import files, mounts
from kitlib.images.build.cache import BuildCache, Result, key_of
from kitlib.images.build.dockerfile import parse
from kitlib.images.build.ignore import Context
from kitlib.images.build.isolation import Program, whiteouts, workspace
from kitlib.images.build.operations import Copy, From, Mkdir, Note, Run, Step
from kitlib.images.build.plan import SCRATCH, Plan, plan
from kitlib.images.descriptor import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor
from kitlib.images.errors import ImageError
from kitlib.images.layer import Whiteouts
from kitlib.images.layerwriter import Entry, write_layer
from kitlib.images.merged import Merged
from kitlib.images.store import ImageStore, StoredImage, read_image

MOST_AT_ONCE = 8


@dataclass(frozen=True)
class Event:
    """What a build tells.  kind: started, output, cached, done, failed; seconds: how long a step took."""

    step: int
    kind: str
    text: str = ""
    seconds: float = 0.0


class BuildError(Exception):
    """A step that failed: its place in the file, what it was, and why.  code: a RUN's exit code, or 0."""

    def __init__(self, file: str, step: Step, why: str, code: int = 0) -> None:
        super().__init__(f"{file}:{step.line}: {step.title}: {why}")
        self.step, self.why, self.code = step, why, code


@dataclass(frozen=True)
class Layers:
    """An image's files after a step: descriptors and diff ids, the lowest first."""

    parts: tuple[tuple[Descriptor, str], ...] = ()


@dataclass
class Outcome:
    """What became of a step.  how: ran, cached, or noted (nothing to do); why: what made the cache miss."""

    layers: Layers
    result: Result
    how: str
    why: str = ""
    began: float = 0.0


@dataclass(frozen=True)
class Settings:
    """What a build can be told.  secrets: id → content; no_cache: nothing is taken from the cache."""

    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    no_cache: bool = False
    file: str = "Dockerfile"


@dataclass(frozen=True)
class Built:
    """image: what was made; plan and outcomes: for the picture of it; seconds: all of it."""

    image: StoredImage
    plan: Plan
    outcomes: Mapping[int, Outcome]
    seconds: float


class Builder:
    """Builds images into a store.  pull: gets a base image that is not in the store, or None."""

    def __init__(self, store: ImageStore, *, pull: Callable[[str], StoredImage | None] = lambda name: None) -> None:
        self.store, self._pull = store, pull
        self.cache = BuildCache(store.root.parent / "build")
        self.mounts = mounts.CacheMounts(store.root.parent / "build" / "mounts")

    def image(self, name: str) -> StoredImage:
        """A base image.  Raises ImageError if there is none of that name."""
        found = self.store.find(name) or self._pull(name)
        if found is None:
            raise ImageError(f"{name}: failed to resolve source metadata: not found in the image store "
                             "(`kit image list` shows what there is)")
        return found

    def build(self, context: Path, text: str, settings: Settings = Settings(),
              tell: Callable[[Event], None] = lambda event: None, names: Sequence[str] = ()) -> Built:
        """Raises DockerfileError, BuildError or ImageError."""
        began = time.monotonic()
        made = plan(parse(text, settings.file), lambda name: self.image(name).config, args=settings.args,
                    target=settings.target, file=settings.file)
        work = _Build(self, made, Context(context, settings.file), settings, tell)
        outcomes = work.run()
        image = work.commit(outcomes[made.target])
        for name in names or ("",):
            self.store.tag(name, image.manifest)
        named = read_image(self.store, names[0] if names else "", image.manifest)
        return Built(named, made, outcomes, time.monotonic() - began)


class _Build:
    """One build while it goes on."""

    def __init__(self, builder: Builder, made: Plan, context: Context, settings: Settings,
                 tell: Callable[[Event], None]) -> None:
        self._builder, self._store, self._plan, self._context = builder, builder.store, made, context
        self._settings, self._tell = settings, tell
        self._keys: dict[int, str] = {}
        self._parts: dict[int, dict[str, Any]] = {}
        self._futures: dict[int, concurrent.futures.Future[Outcome]] = {}
        self._cancelled = threading.Event()
        self._place = f"{os.path.realpath(context.root)}:{settings.file}:{settings.target}"

    def run(self) -> dict[int, Outcome]:
        needed = self._plan.needed()
        self._scratch_parent().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".build-", dir=self._scratch_parent()) as scratch, \
                concurrent.futures.ThreadPoolExecutor(MOST_AT_ONCE) as pool:
            self._scratch = Path(scratch)
            for step in needed:  # in order: a step never waits for one that is handed in after it
                self._futures[step.number] = pool.submit(self._do, step)
            try:
                done, _ = concurrent.futures.wait(self._futures.values(),
                                                  return_when=concurrent.futures.FIRST_EXCEPTION)
            except BaseException:  # Ctrl-C
                self._cancelled.set()
                raise
            self._cancelled.set()  # nothing is left to do, or one has failed and the others need not go on
            errors = [future.exception() for future in done]
            for error in sorted((e for e in errors if e), key=lambda e: isinstance(e, _Cancelled)):
                raise error
            return {number: future.result() for number, future in self._futures.items()}

    def _scratch_parent(self) -> Path:
        return self._store.root.parent / "build" / "tmp"

    # One step.

    def _do(self, step: Step) -> Outcome:
        try:
            needs = [self._futures[number].result() for number in step.needs()]
        except BaseException as error:
            raise _Cancelled from error
        if self._cancelled.is_set():
            raise _Cancelled
        base = needs[0].layers if step.base is not None else Layers()
        try:
            return self._step(step, base, needs[0].result.created if step.base is not None else 0.0)
        except ImageError as error:
            self._tell(Event(step.number, "failed", str(error)))
            raise BuildError(self._settings.file, step, str(error)) from error
        except BuildError as error:
            self._tell(Event(step.number, "failed", error.why))
            raise

    def _step(self, step: Step, base: Layers, before: float) -> Outcome:
        groups = self._sources(step)
        parts = self._describe(step, groups)
        key = self._keys[step.number] = key_of(parts)
        operation = step.operation
        began = time.time()
        if isinstance(operation, From):
            return Outcome(self._layers_of(operation), Result(None, "", 0.0, 0.0), "noted", began=began)
        if isinstance(operation, Note):  # no time of its own: the same files and settings are the same image
            return Outcome(base, Result(None, "", before, 0.0), "noted", began=began)
        known = None if self._settings.no_cache else self._builder.cache.find(key)
        why = self._builder.cache.why(f"{self._place}:{step.stage}:{self._ordinal(step)}", parts)
        if known is not None and (known.layer is None or self._store.has(known.layer.digest)):
            self._tell(Event(step.number, "cached", step.title))
            return Outcome(_with(base, known), known, "cached", began=began)
        self._tell(Event(step.number, "started", step.title))
        with contextlib.ExitStack() as stack:  # what a program has changed lies in a workspace until it is written
            result = self._write(self._entries(step, base, groups, stack), began)
        self._builder.cache.keep(key, result)
        self._tell(Event(step.number, "done", seconds=result.seconds))
        return Outcome(_with(base, result), result, "ran", "--no-cache" if self._settings.no_cache else why, began)

    def _ordinal(self, step: Step) -> int:
        return sum(1 for other in self._plan.steps[:step.number] if other.stage == step.stage)

    def _sources(self, step: Step) -> list[list[files.Source]]:
        operation = step.operation
        if not isinstance(operation, Copy) or not operation.sources:
            return []
        origin = None if operation.node is None else self._merged(self._futures[operation.node].result().layers)
        return files.sources(operation, self._context, origin)

    def _describe(self, step: Step, groups: list[list[files.Source]]) -> dict[str, Any]:
        """What the key is made of: the operation, the keys of what it reads, the files of the context."""
        operation = step.operation
        described = {"kind": type(operation).__name__, **dataclasses.asdict(operation)}
        if isinstance(operation, From) and operation.image != SCRATCH:
            described["image"] = self._builder.image(operation.image).digest
        if isinstance(operation, Copy):
            described["node"] = None
        if isinstance(operation, Run):
            described["mounts"] = [{**m, "node": None} for m in described["mounts"]]
        if isinstance(operation, Note):  # what is noted is in the configuration, and no file depends on it
            return {"operation": {"kind": "Note"}, "base": [self._keys[n] for n in step.needs()]}
        needs = step.needs()
        copied = isinstance(operation, Copy) and operation.node is not None
        reads = needs[:1] if copied else needs  # files out of another stage count by what they are
        return {"operation": described, "base": [self._keys[n] for n in reads], "files": files.digest(groups)}

    # Files.

    def _layers_of(self, operation: From) -> Layers:
        if operation.image == SCRATCH:
            return Layers()
        image = self._builder.image(operation.image)
        return Layers(tuple(zip(image.layers, image.diff_ids, strict=True)))

    def _trees(self, layers: Layers) -> list[Path]:
        """Directories with the layers' files, the topmost first; one with all of them where nothing can be mounted."""
        form = whiteouts()
        if form is Whiteouts.REMOVE:
            return [self._store.flat_of(layers.parts)] if layers.parts else []
        return [self._store.tree_of(*part, form) for part in reversed(layers.parts)]

    def _merged(self, layers: Layers) -> Merged:
        return Merged(self._trees(layers))

    def _entries(self, step: Step, base: Layers, groups: list[list[files.Source]],
                 stack: contextlib.ExitStack) -> list[Entry]:
        operation = step.operation
        if isinstance(operation, Mkdir):
            return _made_directories(operation.path, self._merged(base))
        if isinstance(operation, Copy):
            tree = self._merged(base)
            return files.entries(operation, groups, tree, files.owner(operation.owner, tree), self._scratch)
        assert isinstance(operation, Run)
        return self._run_program(step, operation, base, stack)

    def _run_program(self, step: Step, operation: Run, base: Layers, stack: contextlib.ExitStack) -> list[Entry]:
        trees = self._trees(base)
        space = workspace(trees, self._scratch)
        stack.callback(space.close)

        def output(data: bytes) -> None:
            self._tell(Event(step.number, "output", data.decode(errors="replace")))

        binds, env = mounts.prepare(
            operation, stack, self._scratch, self._context, self._settings.secrets, self._builder.mounts,
            lambda node: self._merged(self._futures[node].result().layers))
        program = Program(operation.argv, {**operation.env, **env}, operation.cwd,
                          files.owner(operation.user, Merged(trees)), binds, operation.network != "none")
        code = space.run(program, output, self._cancelled)
        if self._cancelled.is_set():
            raise _Cancelled
        if code:
            why = f'process "{" ".join(operation.argv)}" did not complete successfully: exit code: {code}'
            raise BuildError(self._settings.file, step, why, code)
        return [_clamped(entry) for entry in space.entries(program)]

    def _write(self, entries: list[Entry], began: float) -> Result:
        created = epoch() if epoch() is not None else began
        if not entries:
            return Result(None, "", created or 0.0, time.time() - began)
        with self._store.incoming() as blob:
            write_layer(entries, blob)  # type: ignore[arg-type]
            layer = blob.keep(OCI_LAYER)
        return Result(layer, layer.digest, created or 0.0, time.time() - began)

    # The image.

    def commit(self, outcome: Outcome) -> StoredImage:
        """Config and manifest of the target; the history has a line for each of its instructions."""
        chain = self._chain(self._plan.target)
        config = json.loads(json.dumps(self._plan.steps[self._plan.target].config))
        history = list(config.get("history") or ()) if isinstance(chain[0].operation, From) else []
        newest = 0.0
        for step in chain[1:]:
            if step.operation == Note() and self._plan.steps[step.number].title.startswith("FROM "):
                continue
            result = self._futures[step.number].result().result
            newest = max(newest, result.created)
            line: dict[str, Any] = {"created": rfc3339(result.created), "created_by": created_by(step),
                                    "comment": "kitlib.build"}
            if result.layer is None:
                line["empty_layer"] = True
            history.append(line)
        if self._settings.labels:
            config["config"]["Labels"] = {**(config["config"].get("Labels") or {}), **self._settings.labels}
        config |= {"created": rfc3339(newest), "history": history, "rootfs": {
            "type": "layers", "diff_ids": [diff_id for _, diff_id in outcome.layers.parts]}}
        described = self._store.write(json.dumps(config, separators=(",", ":")).encode(), OCI_CONFIG)
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described.json(),
                    "layers": [layer.json() for layer, _ in outcome.layers.parts]}
        written = self._store.write(json.dumps(manifest, separators=(",", ":")).encode(), OCI_MANIFEST)
        return read_image(self._store, "", written)

    def _chain(self, number: int) -> list[Step]:
        """The target's own steps, from its base image on."""
        steps: list[Step] = []
        at: int | None = number
        while at is not None:
            steps.append(self._plan.steps[at])
            at = self._plan.steps[at].base
        return steps[::-1]


class _Cancelled(Exception):
    """Another step has failed."""


def _with(base: Layers, result: Result) -> Layers:
    return base if result.layer is None else Layers((*base.parts, (result.layer, result.diff_id)))


def _made_directories(path: str, tree: Merged) -> list[Entry]:
    import tarfile

    found: list[Entry] = []
    resolved = tree.resolve(path)
    parts = resolved.split("/") if resolved else []
    for i in range(1, len(parts) + 1):
        parent = "/".join(parts[:i])
        there = tree.find(parent)
        if there is None:
            found.append(Entry(parent, tarfile.DIRTYPE, 0o755))
        elif not there.is_dir():
            raise ImageError(f"cannot make /{parent}: it is a file")
    return found


def created_by(step: Step) -> str:
    """As BuildKit words an image's history."""
    if isinstance(step.operation, Run):
        return f"RUN {' '.join(step.operation.argv)} # buildkit"
    return f"{step.title} # buildkit" if step.writes else step.title


def epoch() -> float | None:
    """SOURCE_DATE_EPOCH: the one time that everything in the image has (reproducible-builds.org)."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    return float(text) if text.isdigit() else None


def _clamped(entry: Entry) -> Entry:
    limit = epoch()
    return entry if limit is None or entry.mtime <= limit else dataclasses.replace(entry, mtime=int(limit))


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")


def clear(builder: Builder) -> int:
    """Forget all that builds have left behind but images; how many results that were."""
    shutil.rmtree(builder.store.root.parent / "build" / "mounts", ignore_errors=True)
    return builder.cache.clear()
