"""Store solutions executed: run each on a fresh cluster (and container engine) and keep what a learner would see.

    python -m kitlib.book.publish [STEM …]       then labs are generated anew, too

What changes from run to run without meaning anything (times of cells, widget state) is not kept, nor is what a
cell with the tag `machine` says, since it is about the author's computer.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kitlib.book import files, generate
from kitlib.book.execute import execute
from kitlib.cluster.dockerengine import EmbeddedEngine
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import EXIT_FAILED
from kitlib.cluster.home import ClusterDir
from kitlib.cluster.interface import Settings


def stored(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook with its outputs, and nothing else that a run leaves behind."""
    notebook["metadata"] = {key: notebook["metadata"][key] for key in ("kernelspec", "kit", "language_info")
                            if key in notebook["metadata"]}
    for cell in notebook["cells"]:
        if "machine" in cell["metadata"].get("tags", ()):
            cell["outputs"] = []
        cell["metadata"] = {key: cell["metadata"][key] for key in ("kit", "tags") if key in cell["metadata"]}
        for output in cell.get("outputs", ()):
            # A widget's view means nothing without its kernel; its text stands beside it.
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    return notebook


def publish(stem: str) -> int:
    """Execute one solution and store it; returns how many cells raised an error."""
    with tempfile.TemporaryDirectory(prefix="kit-publish-") as home:
        cluster = EmbeddedCluster(ClusterDir("book", Path(home)))
        cluster.start(Settings(nodes=3, ephemeral=True, parent_pid=os.getpid()))
        try:
            copy = Path(home) / stem / f"{stem}.ipynb"  # a desk of its own: what cells write lands beside the notebook
            copy.parent.mkdir()
            shutil.copyfile(files.solution(stem), copy)
            env = {"KUBECONFIG": str(cluster.kubeconfig), "KIT_HOME": home, "KIT_ENGINE": "embedded"}
            done = execute(copy, env=env,
                           progress=lambda at, total: print(f"\r{stem}: cell {at} of {total}", end="", flush=True))
        finally:
            cluster.delete()
            EmbeddedEngine(Path(home)).stop()
    print()
    files.write(files.solution(stem), stored(done))
    errors = [output for cell in done["cells"] for output in cell.get("outputs", ())
              if output["output_type"] == "error"]
    for error in errors:
        print(f"  {error['ename']}: {error['evalue']}")
    return len(errors)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m kitlib.book.publish", description="Store solutions executed.")
    parser.add_argument("stems", nargs="*", metavar="STEM")
    args = parser.parse_args(argv)
    known = sorted(path.stem for path in (files.root() / "solutions").glob("lab*.ipynb"))
    errors = sum([publish(stem) for stem in args.stems or known])
    generate.main([])
    return EXIT_FAILED if errors else 0


if __name__ == "__main__":
    sys.exit(main())
