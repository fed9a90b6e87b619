"""A build that is killed, or interrupted: finished steps are not done again, and no process or mount is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kitlib.images import base
from kitlib.images.store import ImageStore

pytestmark = pytest.mark.needs("busybox")
MARK = f"86{os.getpid()}"  # seconds that nobody else sleeps
DOCKERFILE = f"""FROM busybox
RUN echo first > /first
RUN (setsid sleep {MARK} &) ; echo second; sleep {MARK}
"""


def processes() -> list[str]:
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and MARK in Path("/proc", name, "cmdline").read_text().split("\0") \
                    and Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(name)
        except OSError:
            continue
    return found


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("isolation", ["", pytest.param("proot", marks=pytest.mark.needs("proot"))])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_lost_and_nothing_is_left(tmp_path: Path, how: signal.Signals, isolation: str) -> None:
    base.busybox(ImageStore(tmp_path / "images" / "oci"))
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text(DOCKERFILE)
    env = {**os.environ, "KIT_HOME": str(tmp_path), "KIT_BUILD": isolation}

    @contextmanager
    def start() -> Iterator[subprocess.Popen[str]]:
        # Where a shell has begun the tests in the background, they ignore SIGINT, and so would what they start.
        with subprocess.Popen(["env", "--default-signal=INT", sys.executable, "-m", "kitlib.cli.main", "build",
                               str(tmp_path / "context")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=env) as made:
            try:
                yield made
            except BaseException:
                made.kill()  # or the test would wait for it for ever
                raise

    with start() as running:
        assert running.stdout is not None
        said = [running.stdout.readline()]
        while "#2 second" not in said[-1]:
            said.append(running.stdout.readline())
            assert said[-1], said
        running.send_signal(how)
        rest = running.stdout.read()
    assert "#1 RUN echo first > /first\n" in said
    if how == signal.SIGINT:
        assert running.returncode == 130
        assert rest.endswith("kit: interrupted\n")
    until(lambda: not processes())
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    (tmp_path / "context/Dockerfile").write_text(DOCKERFILE.partition("RUN (")[0] + "RUN cat /first\n")
    with start() as again:
        assert again.stdout is not None
        text = again.stdout.read()
    assert again.returncode == 0, text
    assert "#1 CACHED RUN echo first > /first\n" in text
    assert "#2 first\n" in text
    assert list((tmp_path / "images/build/tmp").iterdir()) == []
