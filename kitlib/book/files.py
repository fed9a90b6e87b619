"""Where things lie.  The book's files are tracked and never written to; learners work on copies.

    labs/STEM.ipynb          what learners start from (generated)
    solutions/STEM.ipynb     the source of both
    slides/STEM.md
    work/STEM/STEM.ipynb     the learner's; ignored by git, so updating the book never touches it
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from kitlib.cluster.errors import KitError


def root() -> Path:
    """The checkout that this kitlib was installed from (or $KIT_BOOK)."""
    return Path(os.environ.get("KIT_BOOK") or Path(__file__).resolve().parents[2])


def work() -> Path:
    """Where the learner's copies go: $KIT_WORK, else `work/` beside the book."""
    return Path(os.environ.get("KIT_WORK") or root() / "work")


def stems() -> list[str]:
    return sorted(path.stem for path in (root() / "labs").glob("lab[0-9][0-9]_*.ipynb"))


def find(stem: str) -> str:
    """The whole stem of a lab; "lab09" is enough where it is unique.  Raises KitError naming those there are."""
    known = stems()
    found = [s for s in known if s == stem] or [s for s in known if s.startswith(stem + "_")]
    if len(found) != 1:
        raise KitError(f"there is no lab {stem!r}. There are: {', '.join(known) or 'none'}.")
    return found[0]


def lab(stem: str) -> Path:
    return root() / "labs" / f"{stem}.ipynb"


def solution(stem: str) -> Path:
    return root() / "solutions" / f"{stem}.ipynb"


def deck(stem: str) -> Path:
    return root() / "slides" / f"{stem}.md"


def learner_copy(stem: str) -> Path:
    """The learner's notebook, made from the lab if there is none yet.  Never overwrites.

    Raises KitError where it cannot be written: in a checkout of somebody else's, say.
    """
    path = work() / stem / f"{stem}.ipynb"
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(lab(stem), path)
        except OSError as error:
            raise KitError(f"{error.filename or path} cannot be written ({error.strerror}); set KIT_WORK to a "
                           "directory of yours.") from None
    return path


def start_over(stem: str) -> Path | None:
    """Give the learner a fresh copy.  The old one is kept beside it; its path is returned (None: there was none)."""
    path = work() / stem / f"{stem}.ipynb"
    kept = None
    if path.exists():
        kept = path.with_name(f"{stem}.{time.strftime('%Y%m%d-%H%M%S')}.ipynb")
        path.rename(kept)
    learner_copy(stem)
    return kept


def read(path: Path) -> dict[str, Any]:
    """A notebook as plain JSON.  Raises KitError for a file that is none."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise KitError(f"{path} is not a notebook: {error}") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise KitError(f"{path} is not a notebook: it has no list of cells")
    return notebook


def write(path: Path, notebook: dict[str, Any]) -> None:
    """Write a notebook as Jupyter does (one space of indentation), all at once or not at all."""
    text = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    aside = path.with_name(path.name + ".new")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)


def source(cell: dict[str, Any]) -> str:
    """A cell's text; the format allows a string or a list of lines."""
    text = cell.get("source", "")
    return text if isinstance(text, str) else "".join(str(line) for line in text)


def role(cell: dict[str, Any]) -> tuple[str, str]:
    """("answer" | "check" | "", exercise): what a cell is in the book, from its metadata `kit`."""
    kit = cell.get("metadata", {}).get("kit", {})
    return str(kit.get("role", "")), str(kit.get("exercise", ""))
