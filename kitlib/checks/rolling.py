"""What checks of running applications share: a Deployment that is there and ready, and a change of its Pods under load.

    roll     a rolling update: every Pod is replaced
    end_one  one Pod is deleted; the others go on

Both return the load's report, in which each lost request stands beside what the Pods did at that moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from kitlib.checks.world import Object, World
from kitlib.checks.wrong import Wrong
from kitlib.objects.errors import StatusError
from kitlib.objects.meta import is_ready
from kitlib.traffic.load.report import Report

DEPLOYMENTS = "deployments.apps"
WARM_SECONDS, AFTER_SECONDS = 0.2, 0.25
PATIENCE = 8.0


def deployment(world: World, name: str) -> Object:
    """The Deployment.  Raises Wrong if there is none."""
    return world.find("Deployment", DEPLOYMENTS, name, "Run the cell that applies it. Did the API server refuse it? "
                      f"Is `metadata.name` {name!r}?")


def container(obj: Object) -> Object:
    """The first container of its template."""
    first: Object = obj["spec"]["template"]["spec"]["containers"][0]
    return first


def env(obj: Object, name: str) -> str:
    """What its container's environment says, "" if nothing."""
    return next((entry.get("value", "") for entry in container(obj).get("env") or () if entry["name"] == name), "")


def available(world: World, name: str, replicas: int) -> None:
    """Wait until the newest template's Pods are all available, and answer.  Raises Wrong with what is in the way."""
    def complete() -> bool:
        found = deployment(world, name)
        status = found.get("status") or {}
        return (status.get("observedGeneration", 0) >= found["metadata"]["generation"]
                and found["spec"]["replicas"] == replicas == status.get("updatedReplicas") == status.get("replicas")
                and status.get("availableReplicas") == replicas)

    if not world.eventually(complete, within=PATIENCE):
        _complain(world, name, replicas)
    if not world.eventually(lambda: world.request(f"http://{name}/", seconds=2).ok):
        if _ends(world, name):  # it was ready for the moment between its start and its end
            _complain(world, name, replicas)
        raise Wrong(f"Service {name} does not answer, though its Pods are ready",
                    f"`kubectl get endpointslices -l kubernetes.io/service-name={name}`: is there an address? "
                    f"`kubectl describe service {name}` has the selector and the port.")


def _complain(world: World, name: str, replicas: int) -> None:
    found = deployment(world, name)
    wanted = found["spec"]["replicas"]
    if wanted != replicas:
        raise Wrong(f"Deployment {name} asks for {wanted} Pods", "`spec.replicas` is the number to change.",
                    expected=replicas, actual=wanted)
    if _ends(world, name):
        raise Wrong(f"the program of {name} ends as soon as it has begun",
                    f"It has said why: `kubectl logs deployment/{name}`.", expected="Running",
                    actual="started again and again")
    raise Wrong(f"the Pods of {name} do not become ready", f"`kubectl describe pod -l app={name}`: the last Events "
                f"say what the kubelet asked, where, and what it got.", expected=f"{replicas} ready",
                actual=f"{sum(is_ready(pod) for pod in world.pods(f'app={name}'))} ready")


def _ends(world: World, name: str) -> bool:
    """Whether a program of it has ended by itself."""
    return any(status.get("restartCount") or "terminated" in status.get("state", {})
               for pod in world.pods(f"app={name}")
               for status in (pod.get("status") or {}).get("containerStatuses") or ())


def roll(world: World, name: str, *, rps: float = 100, lag: float = 0.0, **options: Any) -> Report:
    """A rolling update under load, until the last old Pod is gone.

    lag: for so many seconds after the first Pod has been told to end the endpoints stay as they were (only where the
    cluster's controllers can be paused; elsewhere the lag is what it is, and the check's log says so).
    """
    old = {pod["metadata"]["uid"] for pod in _all_pods(world, name)}
    with world.load(f"http://{name}/", rps=rps, timeout=2.0, **options) as load:
        time.sleep(WARM_SECONDS)
        with slow_endpoints(world) if lag else nullcontext():
            patch = {"spec": {"template": {"metadata": {"annotations": {"kit/rolled": str(time.time_ns())}}}}}
            world.client.patch(DEPLOYMENTS, world.namespace, name, patch)
            if lag:
                _wait(world, lambda: len([pod for pod in _old(world, name, old)
                                          if "deletionTimestamp" not in pod["metadata"]]) < len(old))
                time.sleep(lag)
        _wait(world, lambda: not _old(world, name, old))
        time.sleep(AFTER_SECONDS)
    return load.report()


def end_one(world: World, name: str, *, rps: float = 100, **options: Any) -> tuple[str, Report]:
    """Delete one of several Pods under load; its name and the report, which goes on a moment after it is gone."""
    victim = world.pods(f"app={name}")[0]["metadata"]
    with world.load(f"http://{name}/", rps=rps, timeout=2.0, **options) as load:
        time.sleep(WARM_SECONDS)
        world.client.delete("pods", world.namespace, victim["name"], uid=victim["uid"])
        _wait(world, lambda: not _old(world, name, {victim["uid"]}))
        time.sleep(AFTER_SECONDS)
    return victim["name"], load.report()


@contextmanager
def slow_endpoints(world: World) -> Iterator[None]:
    """While it lasts nobody changes EndpointSlices: proxies go on with what they know."""
    try:
        world.kit("controllers/endpointslice/pause", {})
    except StatusError as error:
        if error.code not in (403, 404):
            raise
        world.note("this cluster's controllers cannot be paused: the endpoints' lag is what it is")
        yield
        return
    try:
        yield
    finally:
        world.kit("controllers/endpointslice/resume", {})


def _all_pods(world: World, name: str) -> list[Object]:
    return world.list("pods", f"app={name}")


def _old(world: World, name: str, old: set[str]) -> list[Object]:
    return [pod for pod in _all_pods(world, name) if pod["metadata"]["uid"] in old]


def _wait(world: World, look: Callable[[], bool]) -> None:
    if not world.eventually(look, within=PATIENCE):
        raise Wrong("the old Pods are still there",
                    f"They have had {PATIENCE:g} seconds. What are they waiting for? A long `preStop`, a long "
                    f"`terminationGracePeriodSeconds`, a program that does not listen to SIGTERM?",
                    expected="gone", actual="Terminating")
