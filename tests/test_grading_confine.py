"""What learner code can reach from its confinement: its desk, and nothing that is somebody's own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kitlib.grading import confine

pytestmark = pytest.mark.needs("confinement")

LOOK = """
import json, os, socket, sys
said = {}
for path in sys.argv[1:]:
    try:
        if path.endswith(".sock"):
            socket.socket(socket.AF_UNIX).connect(path)
        else:
            open(path).close()
        said[path] = "reached"
    except OSError as error:
        said[path] = type(error).__name__
open("mine", "w").write("x")
print(json.dumps([said, sorted(os.listdir()), os.getpid() < 10]))
"""


@pytest.fixture
def desk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "look.py").write_text(LOOK)
        yield Path(directory)


def look(desk: Path, *paths: Path, hide: tuple[Path, ...] = ()) -> list:
    argv = confine.command(confine.strongest(), [sys.executable, str(desk / "look.py"), *map(str, paths)], work=desk,
                           hide=hide, seconds=20)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=desk, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_files_of_the_graders_own_and_what_is_hidden_are_not_there(desk: Path, tmp_path: Path) -> None:
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:  # mode 600
        keys, hidden = Path(file.name), tmp_path / "solutions"
        hidden.mkdir()
        (hidden / "lab.ipynb").write_text("{}")
        said, there, alone = look(desk, keys, hidden / "lab.ipynb", Path("/etc/hostname"), hide=(hidden,))
    if confine.strongest().kind == "other-user":
        assert said[str(keys)] == "PermissionError"
    elif os.geteuid() == 0:  # the report does not hide it
        assert (said[str(keys)] == "reached") == ("root's rights" in confine.strongest().sentence)
    assert said[str(hidden / "lab.ipynb")] != "reached"
    assert said["/etc/hostname"] == "reached"
    assert there == ["look.py", "mine"]
    assert alone == (confine.strongest().kind == "bubblewrap")


@pytest.mark.needs("root")
def test_a_daemons_socket_is_out_of_reach(desk: Path) -> None:
    """Docker's would give the whole machine away."""
    with tempfile.TemporaryDirectory(dir="/run") as directory, socket.socket(socket.AF_UNIX) as daemon:
        path = Path(directory) / "daemon.sock"
        daemon.bind(str(path))
        daemon.listen()
        said, _, _ = look(desk, path)
    assert said[str(path)] in ("FileNotFoundError", "PermissionError")


def test_a_home_is_empty(desk: Path) -> None:
    if confine.strongest().kind != "bubblewrap":
        assert confine.strongest().kind == "other-user"  # its rights keep it from a home that is closed to others
        return
    with tempfile.NamedTemporaryFile(dir=Path.home()) as file:
        said, _, _ = look(desk, Path(file.name))
    assert said[file.name] == "FileNotFoundError"
