"""Run in an unprivileged place (see unprivileged.py): a whole lab, with the solution as the learner's copy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kitlib.book import files
from kitlib.checks.framework import load

STEMS = ("lab02_containers", "lab03_image_layers", "lab04_buildkit", "lab07_declarative_api", "lab08_pods",
         "lab09_replicaset_flow", "lab12_config_storage", "lab14_services", "lab15_ingress", "lab16_network_policy",
         "lab17_zero_downtime")


@pytest.mark.parametrize("stem", STEMS)
def test_the_solution_gets_full_marks_here(tmp_path: Path, stem: str) -> None:
    work = tmp_path / "work"
    (work / stem).mkdir(parents=True)
    shutil.copyfile(files.solution(stem), work / stem / f"{stem}.ipynb")
    env = {**os.environ, "KIT_WORK": str(work), "KIT_HOME": str(tmp_path / "kit")}
    kit = [sys.executable, "-m", "kitlib"]
    try:
        done = subprocess.run([*kit, "lab", stem, "--run", "--json"], env=env, stdout=subprocess.PIPE, text=True,
                              check=True)
    finally:
        subprocess.run([*kit, "down", "--delete"], env=env, check=True)
        subprocess.run([*kit, "engine", "down"], env=env, check=True)
    told = json.loads(done.stdout)
    assert {r["name"]: r["cause"] or r["log"] for r in told["results"] if not r["passed"]} == {}
    assert told["score"] == told["max_score"] == load(stem).max_points
