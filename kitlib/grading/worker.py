"""One submission: its own process, its own fresh cluster, its own kernel.

    worker (ours)                              kernel (the learner's, confined)
    ─────────────                              ────────────────────────────────
    starts an ephemeral cluster, and, where the chapter has one, a container engine (engine.py)
    cell by cell: setup, answers     ──text──▶ runs them against that cluster
    at a check cell: looks at the cluster      (idle; a learner's controller may go on running)
    writes the result

The worker reads a job (JSON on stdin) and prints a result (JSON on stdout); what it says on the way goes to
stderr.  It ends by itself: every cell has a limit, and so has the whole.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kitlib.book import files
from kitlib.book.session import kubeconfig_for
from kitlib.checks.framework import Lab, Result, load
from kitlib.checks.run import run_exercise
from kitlib.checks.world import World
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.home import ClusterDir
from kitlib.cluster.interface import Settings
from kitlib.grading import confine
from kitlib.grading.collect import read
from kitlib.grading.engine import GradedEngine
from kitlib.grading.kernel import Kernel, environment
from kitlib.grading.merge import Cell, merge


def grade_one(job: dict[str, Any]) -> dict[str, Any]:
    """Grade one submission.  job: name, path, lab, cell_seconds, total_seconds, hide (paths).

    Returns submission, status, score, max_score, seconds, isolation, notes, exercises (results as JSON).
    status: graded, incomplete (something did not end, or an answer is missing) or failed (could not be graded).
    """
    started = time.monotonic()
    lab = load(job["lab"])
    merged = merge(files.read(files.solution(lab.stem)), read(Path(job["path"])))
    run = Run(lab, job, list(merged.notes), started)
    work = Path(tempfile.mkdtemp(prefix="kit-grade-"))
    work.chmod(0o711)  # a kernel or an engine that is another user has to get to its own directory in it
    try:
        results = run.grade(merged.cells, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    undecided = [r for r in results if r.passed is None and not r.dependency]
    status = "failed" if len(undecided) == len(results) else "incomplete" if run.notes else "graded"
    return {"submission": job["name"], "lab": lab.stem, "status": status, "score": sum(r.points for r in results),
            "max_score": lab.max_points, "seconds": round(time.monotonic() - started, 2),
            "isolation": confine.strongest().kind, "notes": run.notes, "exercises": [r.json() for r in results]}


class Run:
    """The state of one grading run."""

    def __init__(self, lab: Lab, job: dict[str, Any], notes: list[str], started: float) -> None:
        self.lab, self.job, self.notes = lab, job, notes
        self.end = started + job["total_seconds"]
        self.results: dict[str, Result] = {}

    def grade(self, cells: tuple[Cell, ...], work: Path) -> list[Result]:
        home, desk = work / "grader", work / "desk"
        home.mkdir(mode=0o700)
        desk.mkdir()
        engine = self._engine(work / "engine") if self.lab.engine else None
        cluster = EmbeddedCluster(ClusterDir("grade", home=home))
        cluster.start(Settings(nodes=3, ephemeral=True, parent_pid=os.getpid()))
        kernel = None
        try:
            kernel = self._kernel(cluster, desk, engine)
            world = World(cluster.client("kit-grade"), self.lab.namespace, engine=engine.host if engine else "",
                          confined=self._confined)
            self._run_cells(cells, kernel, world)
        finally:
            if kernel:
                kernel.stop()
            cluster.stop()
            if engine:
                engine.stop()
        return [self.results[e.name] for e in self.lab.exercises]

    def _hide(self) -> list[Path]:
        """tests/ holds sample solutions, too; what a mount hides must not be the way to the kernel's own code."""
        return [files.root() / "solutions", files.root() / "tests", *(Path(path) for path in self.job["hide"])]

    def _engine(self, place: Path) -> GradedEngine:
        place.mkdir()
        engine = GradedEngine(place, self._hide(), int(self.job["total_seconds"]) + 60)
        engine.start()
        return engine

    def _kernel(self, cluster: EmbeddedCluster, desk: Path, engine: GradedEngine | None) -> Kernel:
        own = desk / "kubeconfig"
        shutil.copyfile(kubeconfig_for(cluster, self.lab.namespace), own)
        own.chmod(0o600)
        sandbox = confine.strongest()
        seconds = int(self.job["total_seconds"]) + 60
        sockets = [engine.socket] if engine else []

        def confined(argv: list[str]) -> list[str]:
            return confine.command(sandbox, argv, work=desk, hide=self._hide(), seconds=seconds, sockets=sockets)

        env = environment(os.environ, own, desk) | ({"DOCKER_HOST": engine.host} if engine else {})
        kernel = Kernel(desk, env, confined)
        kernel.start()
        return kernel

    def _confined(self, argv: Sequence[str], work: Path) -> list[str]:
        """The command line of a check that has to run what a learner wrote."""
        return confine.command(confine.strongest(), argv, work=work, hide=self._hide(), seconds=120)

    def _run_cells(self, cells: tuple[Cell, ...], kernel: Kernel, world: World) -> None:
        replay: list[Cell] = []  # our own cells, for a kernel that had to be replaced
        for cell in cells:
            if cell.role == "check":
                self._check(cell.exercise, world)
                continue
            if time.monotonic() > self.end:
                continue  # checks still run: the cluster may already be right
            seconds = min(self.job["cell_seconds"], max(1.0, self.end - time.monotonic()))
            outcome = kernel.run(cell.source, seconds)
            if outcome in ("timeout", "died"):
                what = f"the answer of {cell.exercise}" if cell.role else f"cell {cell.id}"
                self.notes.append(f"{what} did not end within {seconds:g} s and was stopped" if outcome == "timeout"
                                  else f"{what} ended the kernel, or could not be stopped without it")
            if outcome == "died":
                for earlier in replay:
                    kernel.run(earlier.source, self.job["cell_seconds"])
            if not cell.role:
                replay.append(cell)
        if time.monotonic() > self.end:
            self.notes.append(f"grading ended after {self.job['total_seconds']:g} s")
        for exercise in self.lab.exercises:  # an exercise without a check cell is checked at the end
            if exercise.name not in self.results:
                self._check(exercise.name, world)

    def _check(self, name: str, world: World) -> None:
        if name not in self.results:
            print(f"check {name}", file=sys.stderr, flush=True)
            self.results[name] = run_exercise(self.lab.exercise(name), world, self.results)


def main() -> int:
    # The result's channel is ours alone: whatever else is started here inherits stderr in its place.
    with os.fdopen(os.dup(1), "w") as result:
        os.dup2(2, 1)
        json.dump(grade_one(json.load(sys.stdin)), result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
