"""`kit lab | reset | catch-up`: a learner's chapter.

    kit lab lab09_replicaset_flow           JupyterLab on your copy under work/; prints its URL
    kit lab lab09_replicaset_flow --run     run it here, without a browser, and print the check results
    kit reset lab09_replicaset_flow         a fresh copy (the old one is kept) and an empty namespace
    kit catch-up lab09_replicaset_flow --to 4    exercises 1 to 3 solved, ready for the fourth

`kit lab --run` ends with 0 if the notebook ran to its end, whatever the checks say; `kit check` judges.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kitlib.cli.common import Commands, command, note, print_json

if TYPE_CHECKING:
    from kitlib.book.session import LabSession
    from kitlib.checks.framework import Result

NAMESPACE_SECONDS = 30.0


def register(commands: Commands) -> None:
    lab = command(commands, "lab", run_lab)
    lab.add_argument("stem", help="the chapter, such as lab09_replicaset_flow; lab09 is enough")
    lab.add_argument("--run", action="store_true", dest="headless",
                     help="run the notebook headless and print the check results")
    lab.add_argument("--no-browser", action="store_true", help="only print the URL")
    lab.add_argument("--port", type=int, default=0, help="JupyterLab's port")
    reset = command(commands, "reset", run_reset)
    reset.add_argument("stem")
    catch_up = command(commands, "catch-up", run_catch_up, as_json=False)
    catch_up.add_argument("stem")
    catch_up.add_argument("--to", type=int, required=True, metavar="N", help="the exercise to begin with")


def begin(stem: str, cluster_name: str | None) -> LabSession:
    """The chapter's session on a running cluster, with its namespace there."""
    from kitlib.book.session import lab
    from kitlib.cli.check import known_lab
    from kitlib.cluster.embedded import EmbeddedCluster
    from kitlib.cluster.find import find_or_new

    known_lab(stem)
    cluster = EmbeddedCluster(find_or_new(cluster_name))
    status = cluster.start()
    if status.started:
        note(f'cluster "{status.name}" is up in {status.seconds:.2f} s ({len(status.nodes)} nodes)')
    for sentence in status.notes:
        note(sentence)
    return lab(stem, cluster=cluster)


def run_lab(arguments: argparse.Namespace) -> int | None:
    from kitlib.book import files, launch
    from kitlib.book.session import kubeconfig_for

    stem = files.find(arguments.stem)
    session = begin(stem, arguments.name)
    notebook = files.learner_copy(stem)
    kubeconfig = kubeconfig_for(session.cluster, session.namespace)
    if not arguments.headless:
        note(f"your copy is {notebook}")
        launch.launch(notebook, kubeconfig, browser=not arguments.no_browser, port=arguments.port)
        return None  # not reached: this process has become JupyterLab
    note(f"running {notebook} in an empty namespace {session.namespace}")
    _empty(session)
    results = _run_and_check(session, notebook, kubeconfig)

    from kitlib.cli.check import report

    report(session.lab, results, as_json=arguments.json)
    _resume_controllers(session)
    return None


def _run_and_check(session: LabSession, notebook: Path, kubeconfig: Path) -> list[Result]:
    """Each exercise is checked where the chapter checks it: a learner's controller ends with its kernel."""
    from kitlib.book import execute, files
    from kitlib.checks.run import run_exercise
    from kitlib.checks.world import World

    lab, results = session.lab, dict[str, "Result"]()
    world = World(session.cluster.client("kit-check"), lab.namespace, backend=session.cluster.backend,
                  engine=session.engine.host if session.engine else "")

    def check(name: str) -> None:
        results[name] = run_exercise(lab.exercise(name), world, results)

    executed = execute.execute(notebook, env={"KUBECONFIG": str(kubeconfig)}, progress=_progress, at_check=check)
    files.write(notebook.with_name(f"{lab.stem}.executed.ipynb"), executed)
    for exercise in lab.exercises:  # a copy that has lost a check cell
        if exercise.name not in results:
            check(exercise.name)
    return [results[exercise.name] for exercise in lab.exercises]


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\rcell {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def run_reset(arguments: argparse.Namespace) -> int | None:
    from kitlib.book import files

    stem = files.find(arguments.stem)
    session = begin(stem, arguments.name)
    _empty(session)
    kept = files.start_over(stem)
    fresh = files.learner_copy(stem)
    if arguments.json:
        print_json({"notebook": str(fresh), "kept": str(kept) if kept else None, "namespace": session.namespace})
        return None
    print(f"{fresh} is fresh again" + (f"; what you had is {kept}" if kept else ""))
    print(f'Namespace "{session.namespace}" is empty.')
    return None


def _resume_controllers(session: LabSession) -> None:
    """Chapters pause controllers; one that was left so would make the next run look broken."""
    transport = session.client.transport
    for controller in transport.request("GET", "/kit/controllers")["controllers"]:
        if controller["state"] == "paused":
            transport.request("POST", f"/kit/controllers/{controller['name']}/resume", obj={})


def _empty(session: LabSession) -> None:
    """Delete the lab's namespace and make it anew: nothing of the old run is left."""
    from kitlib.book.session import ensure_namespace
    from kitlib.cluster.errors import KitError
    from kitlib.objects.errors import StatusError

    _resume_controllers(session)
    session.client.delete("namespaces", "", session.namespace)
    deadline = time.monotonic() + NAMESPACE_SECONDS
    while True:
        try:
            session.client.get("namespaces", "", session.namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            break
        if time.monotonic() > deadline:
            raise KitError(f'namespace "{session.namespace}" does not end; `kubectl describe ns {session.namespace}` '
                           f"says what it waits for.")
        time.sleep(0.05)
    ensure_namespace(session)


def run_catch_up(arguments: argparse.Namespace) -> int | None:
    from kitlib.book import execute, files
    from kitlib.book.session import kubeconfig_for

    stem = files.find(arguments.stem)
    session = begin(stem, arguments.name)
    notebook = execute.catch_up(stem, arguments.to)
    _empty(session)  # what an earlier run left behind is not what the cells expect
    part = execute.up_to(notebook, arguments.to)
    try:  # the notebook alone is not enough: the cluster has to be where exercise N begins
        kubeconfig = kubeconfig_for(session.cluster, session.namespace)
        execute.execute(part, env={"KUBECONFIG": str(kubeconfig)}, allow_errors=False, progress=_progress)
    finally:
        part.unlink()
    print(f"{notebook} is ready for exercise {arguments.to}.")
    return None
