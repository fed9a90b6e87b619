"""The shape of the code: small files, and nobody imports whom they must not know."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CEILING = 400
FILES = sorted(path for part in ("kitlib", "tests", "tools") for path in (ROOT / part).rglob("*.py"))


def test_there_is_code_to_look_at() -> None:
    assert len(FILES) > 100


def test_no_file_is_longer_than_400_lines() -> None:
    long = {str(path.relative_to(ROOT)): lines for path in FILES
            if (lines := len(path.read_text().splitlines())) > CEILING}
    assert long == {}


def test_every_file_says_at_its_head_what_it_is_for() -> None:
    silent = [str(path.relative_to(ROOT)) for path in FILES
              if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_nobody_imports_whom_they_must_not_know() -> None:
    done = subprocess.run([Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    assert done.stdout.rstrip().endswith("Contracts: 12 kept, 0 broken."), done.stdout + done.stderr


def test_importing_kitlib_loads_nothing_heavy() -> None:
    code = ("import sys; before = set(sys.modules); import kitlib; "
            "print(sorted(m for m in set(sys.modules) - before if m != 'kitlib'))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(ast.literal_eval(done.stdout))
    assert loaded <= {"typing", "_typing", "collections.abc", "contextlib", "re", "functools", "__future__"} | {
        name for name in loaded if name.startswith(("re.", "_", "collections", "typing"))}


def test_ruff_finds_nothing() -> None:
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "kitlib", "tests"], cwd=ROOT, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_name_of_the_public_api_can_be_had() -> None:
    import kitlib

    assert [name for name in kitlib.__all__ if not callable(getattr(kitlib, name))] == []
