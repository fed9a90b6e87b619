"""Which submissions there are: NAME.ipynb, or a folder NAME with one notebook in it.

What learners hand in may be anything.  A file that is too big, no notebook, or one of several in a folder
is still a submission: it gets a row that says so.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kitlib.cluster.errors import UsageError

MAX_BYTES = 10_000_000
MAX_CELLS = 2_000


@dataclass(frozen=True)
class Submission:
    """One learner's file.  problem: why it cannot be read, a sentence, or ""."""

    name: str
    path: Path
    problem: str = ""

    @property
    def sha256(self) -> str:
        try:
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        except OSError:
            return ""


def collect(directory: Path) -> list[Submission]:
    """All submissions, sorted by name.  Raises UsageError if there are none."""
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a directory of submissions")
    found = []
    for path in sorted(directory.iterdir()):
        if path.name.startswith("."):
            continue
        if path.suffix == ".ipynb":
            found.append(Submission(path.stem, path, _problem(path)))
        elif path.is_dir():
            inside = sorted(p for p in path.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
            if len(inside) == 1:
                found.append(Submission(path.name, inside[0], _problem(inside[0])))
            else:
                problem = f"the folder has {len(inside)} notebooks; exactly one is expected"
                found.append(Submission(path.name, path, problem))
    if not found:
        raise UsageError(f"{directory} has no submissions: NAME.ipynb, or folders with one notebook each")
    return found


def _problem(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            return f"the file is larger than {MAX_BYTES // 1_000_000} MB"
        if not path.is_file():
            return "it is not a file"
        read(path)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    except (ValueError, RecursionError) as error:
        return f"it is not a notebook: {error}"
    return ""


def read(path: Path) -> dict[str, Any]:
    """A submitted notebook as JSON.  Raises ValueError (or RecursionError for mischief) for what is none."""
    notebook = json.loads(path.read_bytes())
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise ValueError("it has no list of cells")
    if len(cells) > MAX_CELLS:
        raise ValueError(f"it has more than {MAX_CELLS} cells")
    return notebook
