"""Solution notebook → lab notebook.

The solution is the one source.  In it, an answer cell marks what learners have to find:

    # BEGIN SOLUTION
    replicas = 3
    # END SOLUTION

which the lab shows as a stub.  A line `# STUB: code` inside the part becomes that line of code, with all blanks after
the first (so a stub can keep a function's head, or YAML's nesting); without one the stub is `...`.  The lab has no
outputs.  Cells keep their ids: grading finds answers by them.

    python -m kitlib.book.generate [--check] [STEM …]
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Sequence
from typing import Any

from kitlib.book import files
from kitlib.cluster.errors import KitError

BEGIN, END, STUB = "BEGIN SOLUTION", "END SOLUTION", "STUB:"


def stubbed(text: str, where: str = "cell") -> str:
    """A cell's source with its solutions taken out.  Raises KitError for markers that do not match."""
    lines: list[str] = []
    stubs: list[str] = []
    inside, indent = False, ""
    for number, line in enumerate(text.split("\n"), 1):
        marker = line.strip().lstrip("#").strip()
        if marker == BEGIN:
            if inside:
                raise KitError(f"{where}, line {number}: {BEGIN} inside another one")
            inside, stubs, indent = True, [], line[: len(line) - len(line.lstrip())]
        elif marker == END:
            if not inside:
                raise KitError(f"{where}, line {number}: {END} without a {BEGIN}")
            lines += stubs or [f"{indent}..."]
            inside = False
        elif inside:
            if marker.startswith(STUB):
                lead = line[: len(line) - len(line.lstrip())]
                stubs.append((lead + marker[len(STUB):].removeprefix(" ")).rstrip())
        else:
            lines.append(line)
    if inside:
        raise KitError(f"{where}: a {BEGIN} without its {END}")
    return "\n".join(lines)


def generate(solution: dict[str, Any], where: str = "solution") -> dict[str, Any]:
    """The lab of a solution: stubs, no outputs, nothing that changes from run to run."""
    lab = copy.deepcopy(solution)
    lab["metadata"] = {key: lab["metadata"][key] for key in ("kernelspec", "kit") if key in lab.get("metadata", {})}
    lab["metadata"]["language_info"] = {"name": "python"}
    for index, cell in enumerate(lab["cells"]):
        cell["source"] = stubbed(files.source(cell), f"{where}, cell {cell.get('id', index)}")
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
        cell["metadata"] = {key: cell["metadata"][key] for key in ("kit", "tags") if key in cell["metadata"]}
    return lab


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m kitlib.book.generate",
                                     description="Make labs/ from solutions/.")
    parser.add_argument("stems", nargs="*", metavar="STEM")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a lab is not up to date")
    args = parser.parse_args(argv)
    stale = []
    for path in sorted((files.root() / "solutions").glob("lab*.ipynb")):
        if args.stems and path.stem not in args.stems:
            continue
        lab, target = generate(files.read(path), path.name), files.lab(path.stem)
        if not target.exists() or files.read(target) != lab:
            stale.append(path.stem)
            if not args.check:
                files.write(target, lab)
    for stem in stale:
        print(f"{stem}: {'is not what its solution generates' if args.check else 'written'}")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
