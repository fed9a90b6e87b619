"""What tests need of the machine beyond Python's packages: the one list.

    @pytest.mark.needs("chromium")      a test says so
    kit test                            the whole suite: as root on Debian or Ubuntu, installs what is missing
    pytest, kit test -k …               takes the machine as it is: leaves out what cannot run, and says so at its head
    KIT_TEST_ALL=1 (.ci/run)            leaves out nothing: a test whose need is missing fails

A test that is left out is deselected before anything runs, so that a report never counts it as seen.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from clients import helm_environment

from kitlib.grading import confine
from kitlib.runtime.oci import available

EVERYTHING = "KIT_TEST_ALL"
ENGINE_SECONDS = 30.0


def programs(*names: str) -> Callable[[], bool]:
    return lambda: all(map(shutil.which, names))


def engine_answers() -> bool:
    return bool(shutil.which("docker")) and subprocess.run(["docker", "info"], capture_output=True,
                                                           check=False).returncode == 0


def speaks_buildkit() -> bool:
    from builders import buildkit_client  # not before anybody asks: it builds something to see

    return engine_answers() and bool(buildkit_client())


@dataclass(frozen=True)
class Need:
    there: Callable[[], bool]
    packages: tuple[str, ...]
    why: str
    how: str = ""

    def advice(self) -> str:
        return self.how or f"apt-get install {' '.join(self.packages)}"


NEEDS = {
    "chromium": Need(programs("chromium", "chromedriver"), ("chromium", "chromium-driver"),
                     "JupyterLab as a person sees it"),
    "docker": Need(engine_answers, ("docker.io",), "places without privileges, such as Binder's",
                   "apt-get install docker.io, and an engine that answers `docker info`"),
    "buildkit": Need(speaks_buildkit, ("docker.io",), "the builder of Docker that knows the whole language",
                     "Debian's docker.io, or a docker command with the plugin buildx"),
    "docker-cli": Need(programs("docker"), ("docker.io",), "the stock docker CLI as an engine's client"),
    "busybox": Need(programs("busybox"), ("busybox-static",), "images whose programs are not the host's"),
    "proot": Need(programs("proot"), ("proot",), "private files where no namespaces are allowed, as on Binder"),
    "skopeo": Need(programs("skopeo"), ("skopeo",), "images that another program has written"),
    "umoci": Need(programs("umoci"), ("umoci",), "images that another program unpacks and packs again"),
    "wrk": Need(programs("wrk"), ("wrk",), "load for the API's figures, from outside Python"),
    "python3.11": Need(helm_environment.can_be_had, (), "Helm, in an environment of its own",
                       "any Python from 3.11 on, as python3.X on the PATH"),
    "confinement": Need(lambda: confine.strongest().kind != "same-user", (), "learner code that is confined",
                        "user namespaces, or root and a checkout that everybody may read"),
    "nftables": Need(lambda: os.geteuid() == 0 and programs("nft", "ip", "nsenter")(), ("nftables", "iproute2"),
                     "rules in a kernel, in network namespaces of the test's own",
                     "run it as root, with apt-get install nftables iproute2"),
    "oci": Need(lambda: not available.why_not(), ("runc", "containernetworking-plugins", "iproute2"),
                "containers in namespaces of the test's own",
                "run it as root, with apt-get install runc containernetworking-plugins iproute2"),
    "curl": Need(programs("curl"), ("curl",), "HTTP from inside a network namespace"),
    "ipset": Need(programs("ipset"), ("ipset",), "the sets of kube-proxy's ipvs mode, in a kernel"),
    "netfilter": Need(lambda: os.geteuid() == 0 and programs("nft", "iptables", "conntrack", "ip", "nsenter")(),
                      ("nftables", "iptables", "conntrack", "iproute2"), "kube-proxy's rules in a kernel",
                      "run it as root, with apt-get install nftables iptables conntrack iproute2"),
    "root": Need(lambda: os.geteuid() == 0, (), "what the kit does as root only", "run it as root"),
}


# What a chapter's own cells need.
CHAPTERS = {"lab03_image_layers": ("busybox", "docker-cli"), "lab04_buildkit": ("busybox",)}


def chapter(stem: str) -> pytest.MarkDecorator:
    return pytest.mark.needs(*CHAPTERS.get(stem, ()))


def chapters(stems: Iterable[str]) -> list[Any]:
    """Stems as a test's parameters."""
    return [pytest.param(stem, id=stem, marks=chapter(stem)) for stem in stems]


@functools.cache
def missing(name: str) -> bool:
    """Whether a need is not met here.  A name that is not in the list is a mistake in the test."""
    return not NEEDS[name].there()


def of(item: pytest.Item) -> list[str]:
    return [name for mark in item.iter_markers("needs") for name in mark.args]


def nothing_may_be_left_out() -> bool:
    return bool(os.environ.get(EVERYTHING))


# What conftest.py hands on of pytest's hooks.


def header() -> list[str]:
    verb = "will fail" if nothing_may_be_left_out() else "left out"
    return [f"{verb}: tests that need {name} ({need.why}); to have them: {need.advice()}"
            for name, need in NEEDS.items() if missing(name)]


def leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests that cannot run on this machine."""
    out = [item for item in items if any(map(missing, of(item)))]
    if out and not nothing_may_be_left_out():
        items[:] = [item for item in items if item not in out]
        config.hook.pytest_deselected(items=out)


def refuse(item: pytest.Item) -> None:
    """Under KIT_TEST_ALL nothing is left out: what is missing is the test's failure."""
    for name in filter(missing, of(item)):
        pytest.fail(f"{name} is not there ({NEEDS[name].why}): {NEEDS[name].advice()}", pytrace=False)


# What `kit test` does before it becomes pytest.


def provide() -> None:
    """As root on Debian or Ubuntu: install what is missing, and see to a Docker Engine while this process lives."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    _install(package for need in NEEDS.values() for package in need.packages)
    if not engine_answers() and shutil.which("dockerd"):
        # overlay2 where the file system allows it; vfs copies every layer, but works anywhere
        if any(map(_start_engine, ("overlay2", "vfs"))):
            _say("started a Docker Engine; it ends with the tests")
        else:
            _say("Docker Engine does not start here")


def _install(packages: Iterable[str]) -> None:
    wanted = [package for package in packages if not _installed(package)]
    if not wanted:
        return
    _say(f"installing what tests need: {' '.join(wanted)}")
    quiet = {"stdout": sys.stderr, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *wanted]):
        done = subprocess.run(["apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0", *command],
                              check=False, **quiet)
        if done.returncode:
            _say(f"apt-get {command[0]} failed with code {done.returncode}; its words are above")
            return


def _installed(package: str) -> bool:
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package], capture_output=True, text=True,
                           check=False)
    return asked.stdout == "installed"


def _start_engine(storage: str) -> bool:
    """dockerd as a child that the kernel ends when this process (by then it is pytest) is gone."""
    with tempfile.TemporaryFile() as log:
        engine = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "dockerd", f"--storage-driver={storage}"],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + ENGINE_SECONDS
        while engine.poll() is None and time.monotonic() < end:
            if engine_answers():
                return True
            time.sleep(0.2)
        engine.terminate()
        engine.wait()
        return False


def _say(sentence: str) -> None:
    print(f"kit: {sentence}", file=sys.stderr, flush=True)
