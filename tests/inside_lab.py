"""Run in an unprivileged place (see unprivileged.py): the whole lab09, with the solution as the learner's copy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from kitlib.book import files

STEM = "lab09_replicaset_flow"


def test_the_solution_of_lab09_gets_full_marks_here(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / STEM).mkdir(parents=True)
    shutil.copyfile(files.solution(STEM), work / STEM / f"{STEM}.ipynb")
    env = {**os.environ, "KIT_WORK": str(work), "KIT_HOME": str(tmp_path / "kit")}
    kit = [sys.executable, "-m", "kitlib"]
    try:
        done = subprocess.run([*kit, "lab", STEM, "--run", "--json"], env=env, stdout=subprocess.PIPE, text=True,
                              check=True)
    finally:
        subprocess.run([*kit, "down", "--delete"], env=env, check=True)
    told = json.loads(done.stdout)
    assert [r["name"] for r in told["results"] if not r["passed"]] == []
    assert told["score"] == told["max_score"] == 19
