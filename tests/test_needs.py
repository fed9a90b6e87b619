"""Tests that need a tool are left out where it is missing, said so, and never left out in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import needs
import pytest

ROOT = Path(__file__).parents[1]


def collect(*arguments: str, **env: str) -> str:
    """What pytest says on a machine whose PATH is empty."""
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
                          capture_output=True, text=True, check=False, cwd=ROOT, timeout=100,
                          env={**{k: v for k, v in os.environ.items() if k != needs.EVERYTHING}, "PATH": "/nonexistent",
                               **env})
    return done.stdout + done.stderr


def test_a_bare_machine_leaves_out_what_it_cannot_run_and_says_how_to_have_it() -> None:
    said = collect("--collect-only", "tests/test_jupyterlab.py", "tests/test_bench.py")
    assert "left out: tests that need chromium" in said
    assert "apt-get install chromium chromium-driver" in said
    assert "3 deselected" in said
    assert "skipped" not in said


def test_where_everything_is_wanted_a_missing_tool_is_a_failure() -> None:
    said = collect("tests/test_bench.py", "-k", "both_generators", KIT_TEST_ALL="1")
    assert "will fail: tests that need wrk" in said
    assert "wrk is not there" in said
    assert "1 error" in said
    assert "deselected / 1 selected" in said


def test_a_need_that_is_not_in_the_list_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        needs.missing("no such thing")


def test_as_an_ordinary_user_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(needs.subprocess, "run", lambda *command, **more: pytest.fail(f"ran {command}"))
    needs.provide()


def test_as_root_the_missing_packages_are_installed_and_named(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, script in {"apt-get": 'echo "apt-get $*"', "dpkg-query": '[ "$4" = wrk ] || printf installed'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(needs.os, "geteuid", lambda: 0)
    needs.provide()
    said = capfd.readouterr().err
    assert "kit: installing what tests need: wrk\n" in said
    assert "install -y -qq --no-install-recommends wrk\n" in said
