"""`kit test`: the whole suite, as CI runs it.  What follows is pytest's: `kit test -k store -x`.

What tests need besides Python's packages (a browser, say) stands in tests/needs.py.  The whole suite, run by
root on Debian or Ubuntu, installs it; else the tests that need it are left out, and pytest's first lines say which.

The whole suite runs in two processes where there are two processors (tests/conftest.py divides it), and each disturbs
the other: both measure time.  So up to FEW tests that fail there are judged again, alone on the machine; that
verdict counts, and the last lines name every test that needed it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

from kitlib.cli.common import Commands
from kitlib.cli.main import help_of
from kitlib.cluster.errors import KitError

CHECKOUT = Path(__file__).resolve().parents[2]
FEW = 5
TESTS_FAILED = 1  # pytest.ExitCode.TESTS_FAILED; pytest itself is an extra


def register(commands: Commands) -> None:
    parser = commands.add_parser("test", help=help_of("test"), add_help=False, prefix_chars="\0")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    parser.set_defaults(run=run_test)


def run_test(arguments: argparse.Namespace) -> int | None:
    """Run pytest in the checkout; with arguments, become it."""
    if not (CHECKOUT / "tests").is_dir():
        raise KitError("`kit test` needs a checkout of the project; this kitlib is installed without its tests.")
    os.chdir(CHECKOUT)
    sys.path.insert(0, str(CHECKOUT / "tests"))
    needs = importlib.import_module("needs")
    if not arguments.arguments or needs.nothing_may_be_left_out():
        needs.provide()
    pytest = [sys.executable, "-m", "pytest"]
    if not arguments.arguments:
        return whole(pytest)
    os.execv(sys.executable, [*pytest, *arguments.arguments])
    raise AssertionError("execv does not return")


def whole(pytest: list[str]) -> int:
    """The whole suite.  Returns pytest's exit status, of the second look where there was one."""
    if len(os.sched_getaffinity(0)) < 2:
        return subprocess.run([*pytest, "--durations=30"], check=False).returncode
    status = subprocess.run([*pytest, "--durations=30", "-n", "2"], check=False).returncode
    failed = failures()
    if status != TESTS_FAILED or not 0 < len(failed) <= FEW:
        return status
    print(f"\n{len(failed)} failed beside the other half of the suite; now alone:", flush=True)
    alone = subprocess.run([*pytest, *failed], check=False).returncode
    if alone == 0:
        print("These failed beside the other half of the suite and passed alone; their order or time is worth a look:")
        print(*(f"  {name}" for name in failed), sep="\n")
    return alone


def failures() -> list[str]:
    """The node ids that failed in the run before, as pytest's cache remembers them."""
    remembered = CHECKOUT / ".pytest_cache" / "v" / "cache" / "lastfailed"
    return sorted(json.loads(remembered.read_text())) if remembered.exists() else []
