"""`kit lab | reset | catch-up`: a chapter, on the learner's own copy.

    kit lab                                     the chapters there are
    kit lab lab09_replicaset_flow               JupyterLab on work/lab09_replicaset_flow/
    kit lab lab09 --run                         run the copy headless and print the checks
    kit reset lab09                             start anew (the old copy is kept beside the new one)
    kit catch-up lab09 --to 5                   solutions of exercises 1 to 4 filled in
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from kitlib.book import execute, files
from kitlib.checks.framework import load
from kitlib.cli.check import run_check
from kitlib.cli.common import Commands, command, note, print_table
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import EXIT_FAILED, KitError, UsageError
from kitlib.cluster.find import find_or_new
from kitlib.objects.errors import StatusError

NAMESPACE_SECONDS = 30


def register(commands: Commands) -> None:
    lab = command(commands, "lab", run_lab)
    lab.add_argument("stem", nargs="?", metavar="LAB", help="such as lab09_replicaset_flow; lab09 is enough")
    lab.add_argument("--run", action="store_true", dest="headless", help="no browser: run all cells, then the checks")
    lab.add_argument("--solution", action="store_true", help="with --run: the solution instead of your copy")
    lab.add_argument("--no-browser", action="store_true", help="only print the URL")
    lab.add_argument("--port", type=int, default=0, help="JupyterLab's port (default: a free one)")
    reset = command(commands, "reset", run_reset, as_json=False)
    reset.add_argument("stem", metavar="LAB")
    catch_up = command(commands, "catch-up", run_catch_up, as_json=False)
    catch_up.add_argument("stem", metavar="LAB")
    catch_up.add_argument("--to", type=int, required=True, metavar="N", help="the exercise to begin with")


def run_lab(arguments: argparse.Namespace) -> int | None:
    if not arguments.stem:
        rows = [(lab.stem, f"{lab.minutes} min", len(lab.exercises), lab.title) for lab in map(load, files.stems())]
        print_table(("LAB", "TIME", "EXERCISES", "TITLE"), rows)
        return None
    stem = files.find(arguments.stem)
    if arguments.solution and not arguments.headless:
        raise UsageError("--solution goes with --run: learners open the lab, not its solution")
    cluster = EmbeddedCluster(find_or_new(arguments.name))
    status = cluster.start()
    note(f'cluster "{status.name}" is up: {len(status.nodes)} nodes, {status.server}')
    path = files.solution(stem) if arguments.solution else files.learner_copy(stem)
    if not arguments.headless:
        from kitlib.book.launch import launch
        from kitlib.book.session import kubeconfig_for

        note(f"opening your copy, {path}")
        launch(path, kubeconfig_for(cluster, load(stem).namespace), browser=not arguments.no_browser,
               port=arguments.port)
    _run_headless(path, cluster)
    arguments.only = []
    arguments.name = status.name
    return run_check(arguments)


def _run_headless(path: Path, cluster: EmbeddedCluster) -> None:
    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\rkit: cell {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    notebook = execute.execute(path, env={"KUBECONFIG": str(cluster.kubeconfig)}, progress=progress)
    errors = [output for cell in notebook["cells"] for output in cell.get("outputs", ())
              if output.get("output_type") == "error"]
    note(f"ran {path}: {len(errors)} cells raised an error" if errors else f"ran {path}")
    for output in errors[:5]:
        note(f"  {output['ename']}: {output['evalue'].splitlines()[0] if output['evalue'] else ''}")


def run_reset(arguments: argparse.Namespace) -> int | None:
    stem = files.find(arguments.stem)
    kept = files.start_over(stem)
    print(f"{files.learner_copy(stem)} is fresh" + (f"; your old copy is {kept.name}" if kept else ""))
    cluster = EmbeddedCluster(find_or_new(arguments.name))
    if cluster.status().running:
        namespace = load(stem).namespace
        _forget(cluster, namespace)
        print(f"namespace {namespace} is empty")
    return None


def _forget(cluster: EmbeddedCluster, namespace: str) -> None:
    """Delete a lab's namespace and wait until it is gone, then let controllers run that the learner paused."""
    client = cluster.client("kit-reset")
    for controller in client.transport.request("GET", "/kit/controllers")["controllers"]:
        if controller.get("state") != "running":
            client.transport.request("POST", f"/kit/controllers/{controller['name']}/resume")
    end = time.monotonic() + NAMESPACE_SECONDS
    try:
        client.delete("namespaces", "", namespace)
        while time.monotonic() < end:
            client.get("namespaces", "", namespace)
            time.sleep(0.05)
    except StatusError as error:
        if error.code == 404:
            return
        raise KitError(error.message) from None
    raise KitError(f"namespace {namespace} is still being deleted after {NAMESPACE_SECONDS} s; "
                   f"`kit kubectl get all -n {namespace}` shows what is in its way")


def run_catch_up(arguments: argparse.Namespace) -> int | None:
    stem = files.find(arguments.stem)
    path = execute.catch_up(stem, arguments.to)
    cluster = EmbeddedCluster(find_or_new(arguments.name))
    cluster.start()
    part = execute.up_to(path, arguments.to)
    try:
        notebook = execute.execute(part, env={"KUBECONFIG": str(cluster.kubeconfig)})
    finally:
        part.unlink()
    errors = sum(output.get("output_type") == "error" for cell in notebook["cells"]
                 for output in cell.get("outputs", ()))
    print(f"{path}: exercises 1 to {arguments.to - 1} are filled in and have run"
          + (f" ({errors} cells raised an error)" if errors else ""))
    return EXIT_FAILED if errors else None
