"""`kit test`: the whole suite, as CI runs it.  What follows is pytest's: `kit test -k store -x`.

What tests need besides Python's packages (a browser, say) stands in tests/needs.py.  The whole suite, run by
root on Debian or Ubuntu, installs it; else the tests that need it are left out, and pytest's first lines say which.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

from kitlib.cli.common import Commands
from kitlib.cli.main import help_of
from kitlib.cluster.errors import KitError

CHECKOUT = Path(__file__).resolve().parents[2]


def register(commands: Commands) -> None:
    parser = commands.add_parser("test", help=help_of("test"), add_help=False, prefix_chars="\0")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    parser.set_defaults(run=run_test)


def run_test(arguments: argparse.Namespace) -> int | None:
    """Become pytest, in the checkout."""
    if not (CHECKOUT / "tests").is_dir():
        raise KitError("`kit test` needs a checkout of the project; this kitlib is installed without its tests.")
    os.chdir(CHECKOUT)
    sys.path.insert(0, str(CHECKOUT / "tests"))
    needs = importlib.import_module("needs")
    if not arguments.arguments or needs.nothing_may_be_left_out():
        needs.provide()
    whole = [] if arguments.arguments else ["--durations=30"]
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *whole, *arguments.arguments])
    raise AssertionError("execv does not return")
