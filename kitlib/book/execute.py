"""Running a notebook without a browser: each cell in a real Jupyter kernel, with progress on the way.

Used by `kit lab --run`, by `kit catch-up`, and to store solutions executed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kitlib.book import files
from kitlib.cluster.errors import KitError

CELL_SECONDS = 120


def execute(path: Path, *, env: Mapping[str, str] | None = None, timeout: float = CELL_SECONDS,
            allow_errors: bool = True, progress: Callable[[int, int], None] | None = None,
            at_check: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Run all cells of a notebook file and return it with outputs (the file is not changed).

    progress(done, total) is called after each code cell, at_check(exercise) after each check cell, while the kernel and
    what the learner has running in it still live.  With allow_errors a cell that raises keeps its
    traceback as output and the next one runs, as for a learner.  Raises KitError for a cell that takes longer
    than `timeout` seconds, or (without allow_errors) for the first one that raises.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from traitlets.config import Config

    notebook = nbformat.from_dict(files.read(path))
    total = sum(cell["cell_type"] == "code" for cell in notebook.cells)
    done = 0

    def finished(cell: Any, cell_index: int, **_reply: Any) -> None:
        nonlocal done
        if cell["cell_type"] == "code":
            done += 1
            if progress:
                progress(done, total)
            role, exercise = files.role(cell)
            if at_check and role == "check":
                at_check(exercise)

    with tempfile.TemporaryDirectory(prefix="kit-") as desk:
        # ipc: Unix sockets, which no other user of the machine can reach; they lie beside the connection file
        config = Config({"KernelManager": {"transport": "ipc", "connection_file": f"{desk}/k.json"}})
        runner = NotebookClient(notebook, config=config, kernel_name="python3", timeout=timeout,
                                allow_errors=allow_errors, resources={"metadata": {"path": str(path.parent)}},
                                on_cell_executed=finished)
        try:
            runner.execute(env=kernel_environment(env))
        except CellExecutionError as error:
            raise KitError(f"{path.name}: a cell raised an error\n{error}") from None
        except CellTimeoutError:
            raise KitError(f"{path.name}: a cell took longer than {timeout:g} seconds") from None
        except DeadKernelError:
            raise KitError(f"{path.name}: the kernel died") from None
    return notebook


def kernel_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with this Python's programs (kubectl, kit) first on the PATH."""
    env = {**os.environ, **(extra or {})}
    programs = os.path.dirname(sys.executable)
    env["PATH"] = os.pathsep.join([programs, *[p for p in env.get("PATH", "").split(os.pathsep) if p != programs]])
    # The debugger's frozen-module warning would be the first thing a learner reads.
    env.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    return env


def exercises(notebook: Mapping[str, Any]) -> list[str]:
    """The exercises in the order of their answer cells."""
    found: list[str] = []
    for cell in notebook["cells"]:
        role, name = files.role(cell)
        if role == "answer" and name not in found:
            found.append(name)
    return found


def catch_up(stem: str, number: int) -> Path:
    """Fill the learner's copy with the solutions of the exercises before `number`.  Their other cells stay.

    Raises KitError if the lab has no such exercise.
    """
    path = files.learner_copy(stem)
    notebook, solution = files.read(path), files.read(files.solution(stem))
    names = exercises(solution)
    if not 1 <= number <= len(names):
        raise KitError(f"{stem} has exercises 1 to {len(names)}, not {number}")
    wanted = set(names[: number - 1])
    solved = {cell["id"]: files.source(cell) for cell in solution["cells"] if files.role(cell)[1] in wanted
              and files.role(cell)[0] == "answer"}
    missing = solved.keys() - {cell.get("id") for cell in notebook["cells"]}
    if missing:
        raise KitError(f"{path} lacks cells of the lab; `kit reset {stem}` gives a fresh copy (yours is kept)")
    for cell in notebook["cells"]:
        if cell.get("id") in solved:
            cell["source"] = solved[cell["id"]]
    files.write(path, notebook)
    return path


def up_to(path: Path, number: int) -> Path:
    """A temporary notebook beside `path` with its cells before exercise `number`, ready to be executed."""
    notebook = files.read(path)
    names = exercises(notebook)
    wanted = set(names[: number - 1])
    cells = []
    for cell in notebook["cells"]:
        name = files.role(cell)[1]
        if name and name not in wanted:
            break
        cells.append(cell)
    part = path.with_name(f".{path.stem}.catch-up.ipynb")
    files.write(part, {**notebook, "cells": cells})
    return part
