"""What a real kube-apiserver answered to 609 recorded conversations, this one answers, too.

The runner is a program of its own, which knows nothing of kitlib: it speaks HTTPS with a cluster that was
started by `kit up --bare --ephemeral`, like any other client.  vectors/README.md says where the recordings
are from.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from vectors.unpack import cases, unpack

HERE = Path(__file__).parent
EXPECTED: dict[str, str] = json.loads((HERE / "vectors_expected_failures.json").read_text())
PROMISED = 0.98


def kit(home: Path, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "kitlib.cli.main", *arguments], capture_output=True, text=True,
                          check=False, env={**os.environ, "KIT_HOME": str(home)})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Case → "" when it passed, else what differed."""
    home, files, out = (tmp_path_factory.mktemp(name) for name in ("home", "cases", "out"))
    unpack(files)
    status = json.loads(kit(home, "up", "--bare", "--ephemeral", "--json", "--parent-pid", str(os.getpid())))
    try:
        config = json.loads((home / "clusters" / status["name"] / "cluster.json").read_text())
        subprocess.run([sys.executable, HERE / "vectors" / "run.py", "--server", status["server"], "--insecure",
                        "--token", config["token"], "--dir", files, "--jobs", "8", "--json", out / "results.json"],
                       capture_output=True, check=False, timeout=100)
        answers: list[dict[str, Any]] = json.loads((out / "results.json").read_text())
    finally:
        kit(home, "down")
    return {answer["case"]: "" if answer["passed"] else f"{answer['failed']}: {'; '.join(answer['differences'][:5])}"
            for answer in answers}


def test_all_recorded_cases_were_run(results: dict[str, str]) -> None:
    assert len(results) == len(cases()) == 609


def test_every_case_passes_that_is_not_known_to_differ(results: dict[str, str]) -> None:
    surprises = {case: difference for case, difference in results.items() if difference and case not in EXPECTED}
    assert surprises == {}, "\n".join(f"{case}: {difference}" for case, difference in surprises.items())


def test_every_case_known_to_differ_still_differs(results: dict[str, str]) -> None:
    assert [case for case in EXPECTED if results.get(case, "") == ""] == []


def test_what_is_known_to_differ_has_a_reason_and_is_little() -> None:
    assert [case for case, reason in EXPECTED.items() if len(reason) < 20] == []
    assert len(EXPECTED) <= (1 - PROMISED) * len(cases())


def test_a_bare_cluster_has_no_add_ons_and_stays_bare(tmp_path: Path) -> None:
    try:
        kit(tmp_path, "up", "--bare", "--nodes", "0")
        kit(tmp_path, "down")
        kit(tmp_path, "up")
        state = json.loads(next(tmp_path.glob("clusters/*/run/state.json")).read_text())
        assert state["bare"] is True
        classes = kit(tmp_path, "kubectl", "get", "storageclasses,ingressclasses", "-o", "name")
        assert classes == ""
    finally:
        kit(tmp_path, "down", "--delete")
