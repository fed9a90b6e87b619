"""nbval replays the stored solutions: what the book shows is what a learner sees."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import needs
import pytest

from kitlib.book import files
from kitlib.cluster.dockerengine import EmbeddedEngine


@pytest.mark.timeout(300)
@pytest.mark.parametrize("stem", needs.chapters(files.stems()))
def test_nbval_replays_the_solution(new_cluster, tmp_path, stem):
    cluster = new_cluster("book")
    cluster.start()
    copy = tmp_path / f"{stem}.ipynb"
    shutil.copyfile(files.solution(stem), copy)
    home = cluster.directory.path.parents[1]
    env = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "KIT_HOME": str(home), "KIT_ENGINE": "embedded",
           "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]}
    try:
        done = subprocess.run([sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-cell-timeout=120", "-p",
                               "no:cacheprovider", "-p", "no:timeout", "-c", os.devnull, "--rootdir", str(tmp_path),
                               "-q", str(copy)], env=env, capture_output=True, text=True, check=False)
    finally:
        EmbeddedEngine(home).stop()
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize("stem", files.stems())
def test_a_solution_is_stored_executed_and_compares_cells(stem):
    cells = [c for c in files.read(files.solution(stem))["cells"] if c["cell_type"] == "code"]
    compared = [c for c in cells if "nbval-check-output" in c["metadata"].get("tags", ())]
    assert len(compared) >= (5 if stem > "lab01" else 2)
    assert all(c["outputs"] for c in compared)
    assert not [o for c in cells for o in c["outputs"] if o["output_type"] == "error"]
