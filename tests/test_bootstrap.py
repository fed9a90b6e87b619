"""`python3 -m kitlib` on a bare Python: what it does, and what it says when it cannot.

These tests run the bootstrap of a copied checkout with an installer of their own on the PATH, which notes
how it was called.  The true installation, over the network, is what `.ci/run` does before it gets here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

UV = """#!/bin/sh
echo "uv $*" >> "$CALLS"
case "$1" in
  venv) for last; do :; done
        mkdir -p "$last/bin"
        printf '#!/bin/sh\\n[ "$1" = -c ] || echo "venv python $*"\\n' > "$last/bin/python"
        chmod +x "$last/bin/python";;
  pip) exit ${PIP_FAILS:-0};;
esac
"""


class Bare:
    """A checkout on a machine that has nothing but a Python and (perhaps) uv."""

    def __init__(self, path: Path, uv: bool = True) -> None:
        self.path, self.calls = path / "checkout", path / "calls"
        self.path.mkdir()
        (self.path / "kitlib").mkdir()
        for name in ("__init__.py", "__main__.py"):
            shutil.copy(ROOT / "kitlib" / name, self.path / "kitlib" / name)
        shutil.copy(ROOT / "pyproject.toml", self.path)
        tools = path / "bin"
        tools.mkdir()
        if uv:
            (tools / "uv").write_text(UV)
            (tools / "uv").chmod(0o755)
        self.env = {"PATH": f"{tools}:/usr/bin:/bin", "CALLS": str(self.calls), "HOME": str(path)}

    def kit(self, *arguments: str, python: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        """Run it with the base interpreter, isolated from this test's own packages."""
        interpreter = python or os.path.realpath(sys.executable)
        return subprocess.run([interpreter, "-m", "kitlib", *arguments], cwd=self.path, env=self.env | env,
                              capture_output=True, text=True, check=False, timeout=60)

    def said(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


def test_the_first_call_makes_an_environment_installs_and_hands_over(bare: Bare) -> None:
    done = bare.kit("lab", "lab09", "--run")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "venv python -m kitlib lab lab09 --run\n"
    venv, pip = bare.said()
    assert venv.startswith("uv venv")
    assert pip.endswith(f"--editable {bare.path}[lab]")
    assert "making .venv" in done.stderr
    assert "installing kitlib" in done.stderr


def test_the_second_call_installs_nothing_and_says_nothing(bare: Bare) -> None:
    bare.kit("lab", "lab09")
    before = bare.said()
    done = bare.kit("lab", "lab09")
    assert (bare.said(), done.stderr) == (before, "")
    assert done.stdout == "venv python -m kitlib lab lab09\n"


def test_another_command_adds_its_extras_and_keeps_the_others(bare: Bare) -> None:
    bare.kit("lab")
    bare.kit("test")
    assert bare.said()[-1].endswith("[lab,test]")
    bare.kit("up")
    assert len(bare.said()) == 3


def test_where_python_keeps_no_bytecode_it_is_made_at_installation(bare: Bare) -> None:
    done = bare.kit("up", PYTHONDONTWRITEBYTECODE="1")
    assert "--compile-bytecode" in bare.said()[1]
    assert f"venv python -m compileall -q {bare.path}/kitlib" in done.stderr
    assert bare.kit("up", PYTHONDONTWRITEBYTECODE="1").stderr == ""


def test_a_changed_pyproject_is_installed_again(bare: Bare) -> None:
    bare.kit("up")
    with open(bare.path / "pyproject.toml", "a") as file:
        file.write("\n# changed\n")
    bare.kit("up")
    assert [line.split()[1] for line in bare.said()] == ["venv", "pip", "pip"]


def test_a_failed_installation_is_one_sentence_and_the_next_call_tries_again(bare: Bare) -> None:
    failed = bare.kit("up", PIP_FAILS="3")
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith("kit: `")
    assert "code 3" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert bare.kit("up").stdout == "venv python -m kitlib up\n"


def test_a_broken_environment_is_made_again(bare: Bare) -> None:
    bare.kit("up")
    (bare.path / ".venv" / "bin" / "python").unlink()
    assert bare.kit("up").stdout == "venv python -m kitlib up\n"
    assert [line.split()[1] for line in bare.said()] == ["venv", "pip", "venv", "pip"]


def test_an_interrupted_first_call_is_finished_by_the_next(bare: Bare) -> None:
    (bare.path / ".venv").mkdir()
    assert bare.kit("up").stdout == "venv python -m kitlib up\n"
    stamp = json.loads((bare.path / ".venv" / "kit-stamp.json").read_text())
    assert stamp["extras"] == []


def test_without_uv_and_without_ensurepip_the_sentence_names_the_debian_package(tmp_path: Path) -> None:
    bare = Bare(tmp_path, uv=False)
    blocker = tmp_path / "no-ensurepip"
    blocker.mkdir()
    (blocker / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'ensurepip' else find(name, *a)\n")
    done = bare.kit("up", PYTHONPATH=str(blocker))
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [line for line in done.stderr.splitlines() if "python3-venv" in line]


def test_without_uv_the_standard_library_makes_the_environment(tmp_path: Path) -> None:
    bare = Bare(tmp_path, uv=False)
    (bare.path / "pyproject.toml").write_text("this is not a project\n")  # pip stops here, before any network
    done = bare.kit("up")
    assert done.returncode == 1
    assert (bare.path / ".venv" / "bin" / "pip").exists()
    assert "pip install" in done.stderr
    assert "Traceback" not in done.stderr.splitlines()[-1]


def test_an_old_python_gets_a_sentence(bare: Bare) -> None:
    code = ("import sys; sys.version_info = (3, 9, 2, 'final', 0); import runpy; sys.argv = ['kitlib', 'up']; "
            "runpy.run_module('kitlib', run_name='__main__')")
    done = subprocess.run([os.path.realpath(sys.executable), "-c", code], cwd=bare.path, env=bare.env,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "kit: this is Python 3.9; kitlib needs 3.10 or newer.\n"
