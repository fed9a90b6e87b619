"""Making the steps of a plan: each begins when what it reads is there; what the cache knows is not run.

    plan ──▶ key (nothing is run for it) ──▶ cached? ──yes──▶ its layer
                                              └─no──▶ a thread of its own ──▶ RUN, COPY ──▶ layer ──▶ cache

A finished step is in the cache at once: a build that is killed begins the next time where it was.  What it had in
work lies in a directory that is locked while the process lives, and that the next build clears away.

Source: moby/buildkit, solver.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import fcntl
import os
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.images.build import files, mounts
from kitlib.images.build.cache import Result, key_of
from kitlib.images.build.committing import configuration, encoded, epoch
from kitlib.images.build.ignore import Context
from kitlib.images.build.isolation import Program, whiteouts, workspace
from kitlib.images.build.operations import Copy, From, Mkdir, Note, Run, Step
from kitlib.images.build.people import owned, owner, person
from kitlib.images.build.plan import PROXIES, SCRATCH, Plan
from kitlib.images.build.results import BuildError, Cancel, Cancelled, Event, Layers, Outcome, Settings
from kitlib.images.descriptor import OCI_LAYER, digest_of
from kitlib.images.errors import ImageError
from kitlib.images.layer import Whiteouts
from kitlib.images.layerwriter import Entry, write_layer
from kitlib.images.merged import Merged
from kitlib.runtime.treecopy import remove_tree

if TYPE_CHECKING:
    from kitlib.images.build.build import Builder

MOST_AT_ONCE = 8


class Making:
    """One build while it goes on."""

    def __init__(self, builder: Builder, plan: Plan, context: Context, settings: Settings,
                 tell: Callable[[Event], None], cancel: Cancel) -> None:
        self._builder, self._store, self._plan, self._context = builder, builder.store, plan, context
        self._telling = threading.Lock()
        self._listener = tell
        self._settings, self._cancel, self._stop = settings, cancel, Cancel()
        self._keys: dict[int, str] = {}
        self._done: dict[int, Outcome] = {}
        place = settings.key or os.path.realpath(context.root)
        self._last = builder.cache.last(f"{place}:{settings.file}:{settings.target}")

    def run(self) -> dict[int, Outcome]:
        """Every step that is needed.  Raises BuildError, ImageError or Cancelled; then nothing runs any more."""
        left = {step.number: step for step in self._plan.needed()}
        waiting: dict[int, set[int]] = {number: set(step.needs()) for number, step in left.items()}
        errors: list[BaseException] = []
        with self._scratch_directory() as self._scratch, self._cancel.calling(self._stop.set), \
                concurrent.futures.ThreadPoolExecutor(MOST_AT_ONCE, "kit-build") as pool:
            running: dict[concurrent.futures.Future[Outcome], int] = {}
            try:
                while (left or running) and not (errors and not running):
                    for number in [n for n in left if not waiting[n] and not errors]:
                        running[pool.submit(self._do, left.pop(number))] = number
                    finished, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                    for future in finished:
                        number = running.pop(future)
                        error = future.exception()
                        if error is not None:
                            errors.append(error)
                            self._stop.set()
                            continue
                        for others in waiting.values():
                            others.discard(number)
            except BaseException:  # Ctrl-C
                self._stop.set()
                raise
        self._last.save()
        for error in sorted(errors, key=lambda e: isinstance(e, Cancelled)):
            raise error
        return self._done

    @contextlib.contextmanager
    def _scratch_directory(self) -> Iterator[Path]:
        parent = self._store.root.parent / "build" / "tmp"
        parent.mkdir(parents=True, exist_ok=True)
        for left in parent.glob(".build-*"):
            _clear_abandoned(left)
        place = Path(tempfile.mkdtemp(prefix=".build-", dir=parent))
        try:
            with open(place / "lock.new", "wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                os.rename(place / "lock.new", place / "lock")  # only now may others look whether it is held
                yield place
        finally:
            remove_tree(place)

    def _tell(self, event: Event) -> None:
        """One at a time: who listens need not think of threads."""
        with self._telling:
            self._listener(event)

    # One step.

    def _do(self, step: Step) -> Outcome:
        if self._stop.is_set():
            raise Cancelled
        below = self._done[step.base] if step.base is not None else None
        try:
            outcome = self._step(step, below)
        except ImageError as error:
            self._tell(Event(step.number, "failed", str(error)))
            raise BuildError(self._settings.file, step, str(error)) from error
        except BuildError as error:
            self._tell(Event(step.number, "failed", error.why))
            raise
        self._done[step.number] = outcome
        kind = {"ran": "done", "cached": "cached", "noted": "noted"}[outcome.how]
        text = "" if kind == "done" else step.title
        self._tell(Event(step.number, kind, text, outcome.result.seconds if kind == "done" else 0.0,
                         self._image_of(step)))
        return outcome

    def _image_of(self, step: Step) -> str:
        """The id that the image has after a step; nobody but the classic builder's readers asks."""
        if not self._settings.classic or step.stage < 0:
            return ""
        if isinstance(step.operation, From) and step.operation.image != SCRATCH:
            return self._builder.image(step.operation.image).id
        return digest_of(encoded(configuration(self._plan, step.number, self._done, classic=True)))

    def _step(self, step: Step, below: Outcome | None) -> Outcome:
        base = below.layers if below is not None else Layers()
        groups = self._sources(step)
        content = files.digest(groups)
        parts = self._describe(step, content)
        key = self._keys[step.number] = key_of(parts)
        operation = step.operation
        began = time.time()
        if isinstance(operation, From):
            return Outcome(self._layers_of(operation), Result(None, "", 0.0, 0.0), "noted", began=began)
        if isinstance(operation, Note):  # no time of its own: the same files and settings are the same image
            before = below.result.created if below is not None else 0.0
            return Outcome(base, Result(None, "", before, 0.0), "noted", began=began)
        known = None if self._settings.no_cache else self._builder.cache.find(key)
        why = self._last.why(f"{step.stage}:{self._ordinal(step)}", parts)
        if known is not None and (known.layer is None or self._store.has(known.layer.digest)):
            return Outcome(base.with_result(known), known, "cached", began=began)
        self._tell(Event(step.number, "started", step.title))
        with contextlib.ExitStack() as stack:  # what a program has changed lies in a workspace until it is written
            result = self._write(self._entries(step, base, groups, stack), began)
        if isinstance(operation, Copy):
            kind = "multi" if len(groups) > 1 else "dir" if groups and groups[0][0].place.is_dir() else "file"
            result = dataclasses.replace(result, files=f"{kind}:{key_of(content)}")
        self._builder.cache.keep(key, result)
        return Outcome(base.with_result(result), result, "ran", "--no-cache" if self._settings.no_cache else why, began)

    def _ordinal(self, step: Step) -> int:
        return sum(1 for other in self._plan.steps[:step.number] if other.stage == step.stage)

    def _sources(self, step: Step) -> list[list[files.Source]]:
        operation = step.operation
        if not isinstance(operation, Copy) or not operation.sources:
            return []
        origin = None if operation.node is None else self._merged(self._done[operation.node].layers)
        return files.sources(operation, self._context, origin)

    def _describe(self, step: Step, content: dict[str, str]) -> dict[str, Any]:
        """What the key is made of: the operation, the keys of what it reads, the files of the context."""
        operation = step.operation
        described = {"kind": type(operation).__name__, **dataclasses.asdict(operation)}
        if isinstance(operation, From) and operation.image != SCRATCH:
            described["image"] = self._builder.image(operation.image).digest
        if isinstance(operation, Copy):
            described["node"] = None
        if isinstance(operation, Run):
            described["mounts"] = [{**m, "node": None} for m in described["mounts"]]
            described["env"] = {name: value for name, value in described["env"].items()
                                if name not in PROXIES or name in operation.args}
        if isinstance(operation, Note):  # what is noted is in the configuration, and no file depends on it
            return {"operation": {"kind": "Note"}, "base": [self._keys[n] for n in step.needs()]}
        needs = step.needs()
        copied = isinstance(operation, Copy) and operation.node is not None
        reads = needs[:1] if copied else needs  # files out of another stage count by what they are
        return {"operation": described, "base": [self._keys[n] for n in reads], "files": content}

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
            tree = self._merged(base)
            return _made_directories(operation.path, tree, owner(operation.owner, tree))
        if isinstance(operation, Copy):
            tree = self._merged(base)
            return files.entries(operation, groups, tree, owner(operation.owner, tree), self._scratch)
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
            lambda node: self._merged(self._done[node].layers))
        user = person(operation.user, Merged(trees))
        groups = (user.gid, *user.groups) if self._settings.classic else user.groups
        network = "none" not in (operation.network, self._settings.network)
        program = Program(operation.argv, {"HOME": user.home, **operation.env, **env}, operation.cwd,
                          (user.uid, user.gid), binds, network, groups)
        code = space.run(program, output, self._stop)
        if self._stop.is_set():
            raise Cancelled
        if code:
            why = f'process "{" ".join(operation.argv)}" did not complete successfully: exit code: {code}'
            raise BuildError(self._settings.file, step, why, code)
        lost = tuple(path.strip("/") + "/" for path in operation.forgotten)
        limit = epoch(self._settings.args)
        entries = [_clamped(entry, limit) for entry in space.entries(program) if not entry.path.startswith(lost)]
        return entries if os.geteuid() == 0 else owned(entries, Merged(trees), (user.uid, user.gid),
                                                          space.chowned(entries))

    def _write(self, entries: list[Entry], began: float) -> Result:
        given = epoch(self._settings.args)
        created = began if given is None else given
        if not entries:
            return Result(None, "", created, time.time() - began)
        with self._store.incoming() as blob:
            write_layer(entries, blob)  # type: ignore[arg-type]
            layer = blob.keep(OCI_LAYER)
        return Result(layer, layer.digest, created, time.time() - began)


def _clear_abandoned(place: Path) -> None:
    """The directory of a build that was killed: nobody has it locked."""
    with contextlib.suppress(OSError), open(place / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_tree(place)


def _made_directories(path: str, tree: Merged, whose: tuple[int, int]) -> list[Entry]:
    found: list[Entry] = []
    resolved = tree.resolve(path)
    parts = resolved.split("/") if resolved else []
    for i in range(1, len(parts) + 1):
        parent = "/".join(parts[:i])
        there = tree.find(parent)
        if there is None:
            found.append(Entry(parent, tarfile.DIRTYPE, 0o755, *whose))
        elif not there.is_dir():
            raise ImageError(f"cannot make /{parent}: it is a file")
    return files.with_parents(found, tree)


def _clamped(entry: Entry, limit: float | None) -> Entry:
    return entry if limit is None or entry.mtime <= limit else dataclasses.replace(entry, mtime=int(limit))
