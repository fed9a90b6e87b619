"""What checks of Pods have in common: is it there, does it run, what does it say, what does it answer.

All through the API (a log, the proxy to a Pod's port), so it works the same on a cluster of another kind.  Whatever
keeps a Pod from running is said once, here, with the place where a learner would see it.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from kitlib.checks.world import World
from kitlib.checks.wrong import Wrong
from kitlib.objects.errors import StatusError

Object = dict[str, Any]
PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
STUCK = PULL | {"CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError"}


def pod(world: World, name: str) -> Object:
    """The Pod.  Raises Wrong if there is none, or if it is on its way out."""
    found = world.eventually(lambda: _alive(world, name), within=1.0)
    if found is None:
        raise Wrong(f"there is no Pod {name!r} in namespace {world.namespace}",
                    f"Was the cell run, and did `kubectl` accept the manifest? Is `metadata.name` {name!r}?",
                    expected=name, actual=sorted(p["metadata"]["name"] for p in world.pods()))
    return found


def _alive(world: World, name: str) -> Object | None:
    found = world.get("pods", name)
    return None if found is None or "deletionTimestamp" in found["metadata"] else found


def container(found: Mapping[str, Any], name: str, field: str = "containers") -> Object:
    """A container of the Pod by name.  Raises Wrong if it has none of that name there."""
    for entry in found["spec"].get(field) or ():
        if entry["name"] == name:
            return entry
    raise Wrong(f"Pod {found['metadata']['name']} has no container {name!r} in spec.{field}",
                "The exercise says what the containers are called, and later checks find them by that name.",
                expected=name, actual=[entry["name"] for entry in found["spec"].get(field) or ()])


def environment(spec: Mapping[str, Any]) -> dict[str, str]:
    """What a container's manifest says literally of its environment."""
    return {entry["name"]: entry.get("value", "") for entry in spec.get("env") or ()}


def is_ready(found: Mapping[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in found["status"].get("conditions") or ())


def statuses(found: Mapping[str, Any]) -> list[Object]:
    """The statuses of init containers, then of containers."""
    status = found.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def status_of(found: Mapping[str, Any], name: str) -> Object:
    """A container's status; {} before the kubelet has said anything."""
    return next((entry for entry in statuses(found) if entry["name"] == name), {})


def terminated(found: Mapping[str, Any]) -> Object | None:
    """How the first container that has ended did so (`state.terminated`); None if all go on."""
    return next((s["state"]["terminated"] for s in statuses(found) if "terminated" in s.get("state", {})), None)


def restarts(found: Mapping[str, Any]) -> int:
    return sum(entry.get("restartCount", 0) for entry in statuses(found))


def ready(world: World, name: str, *, within: float = 12.0) -> Object:
    """The Pod, once all its containers are ready and stay so.  Raises Wrong that says what is in the way.

    A machine may be slow, so there is patience; but nobody waits for a Pod that is stuck.
    """
    def look() -> Object | None:
        found = _alive(world, name)
        return found if found is not None and is_ready(found) else None

    pod(world, name)
    world.eventually(lambda: look() or _is_stuck(_alive(world, name)), within=within)
    found = look()
    if found is None or not world.stays(look):
        raise why_not(pod(world, name))
    return found


def _is_stuck(found: Object | None) -> bool:
    """Whether a container has come to a wait that nothing but a person ends soon."""
    waits = [(entry.get("state") or {}).get("waiting") or {} for entry in statuses(found or {})]
    return any(wait.get("reason") in STUCK for wait in waits)


def why_not(found: Mapping[str, Any]) -> Wrong:
    """Why a Pod is not ready, as a learner would find out."""
    name = found["metadata"]["name"]
    for entry in statuses(found):
        waiting = (entry.get("state") or {}).get("waiting") or {}
        ended = (entry.get("state") or {}).get("terminated") or (entry.get("lastState") or {}).get("terminated") or {}
        if waiting.get("reason") in PULL:
            return Wrong(f"the image of container {entry['name']} cannot be pulled",
                         f"`kubectl describe pod {name}` says at the end which images there are.",
                         actual=entry["image"])
        if waiting.get("reason") == "CreateContainerConfigError":
            return Wrong(f"container {entry['name']} cannot be configured: {waiting.get('message')}",
                         "Something that it refers to is not there: is the name right, and was it made?")
        if ended and (waiting or "terminated" in entry.get("state", {})) and not _is_done_init(found, entry):
            code = ended.get("exitCode")
            hint = f"`kubectl logs {name} -c {entry['name']} --previous` has its last words; "
            if code == 0:
                hint = "It did what it was told and ended, so it is started again and again: a container that shall " \
                       "stay needs something that stays. "
            return Wrong(f"container {entry['name']} of {name} ended with exit code {code} instead of running",
                         hint + f"`kubectl describe pod {name}` tells the story.", expected="running", actual=code)
    return Wrong(f"the Pod {name} is not ready", f"`kubectl describe pod {name}` ends with what happened, and "
                 f"`lab.timeline({name!r})` draws it.", expected="Ready",
                 actual={entry["name"]: next(iter(entry.get("state") or {"?": 0})) for entry in statuses(found)})


def _is_done_init(found: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    inits = {c["name"] for c in found["spec"].get("initContainers") or ()}
    return entry["name"] in inits and (entry["state"].get("terminated") or {}).get("exitCode") == 0


def visitors(world: World, name: str) -> tuple[Object, list[Object]]:
    """The Pod and the statuses of its ephemeral containers, once the kubelet has told of each."""
    def told(found: Object) -> list[Object]:
        return found["status"].get("ephemeralContainerStatuses") or []

    def all_told() -> bool:
        found = pod(world, name)
        return len(told(found)) == len(found["spec"].get("ephemeralContainers") or ())

    world.eventually(all_told)
    found = pod(world, name)
    return found, told(found)


def logs(world: World, name: str, container_name: str) -> str:
    """What a container has printed; "" if it has no log (yet)."""
    try:
        return _text(world.client.transport.request("GET", world.client.path("pods", world.namespace, name, "log"),
                                                    query={"container": container_name}))
    except StatusError as error:
        if error.code in (400, 404):
            return ""
        raise


def fetch(world: World, name: str, port: int, path: str = "", query: Mapping[str, str] | None = None) -> str | None:
    """What the Pod answers on a port over HTTP, asked through the API server; None if nobody answers well."""
    where = world.client.path("pods", world.namespace, f"{name}:{port}", "proxy")
    try:
        return _text(world.client.transport.request("GET", f"{where}/{path}", query=dict(query or {}),
                                                    headers={"accept": "text/plain"}))
    except (StatusError, OSError):
        return None


def having(text: str | None, part: str) -> str:
    """The text if it has that part, else "": to wait for with `eventually`."""
    return text if text and part in text else ""


def _text(answer: Any) -> str:
    """The client reads JSON; what is none, it hands over as a message."""
    if isinstance(answer, dict) and answer.keys() == {"message"}:
        return str(answer["message"])
    return "" if answer == {} else json.dumps(answer)


def end_of_a_copy(world: World, found: dict[str, Any], begun: Callable[[str], Any] | None = None,
                  ) -> tuple[dict[str, Any], float]:
    """How a copy of the Pod ends when it is deleted: its main container's end, and after how many seconds.

    begun: gets the copy's name; it is not deleted before this is true (or patience ends): a program may be told to end
    before it has got a handler for that.  A finalizer keeps the object for us until we have read its last status.
    """
    name = f"{found['metadata']['name']}-check"
    twin = {"apiVersion": "v1", "kind": "Pod", "spec": copy.deepcopy(found["spec"]),
            "metadata": {"name": name, "finalizers": ["kit.example/last-words"]}}
    for field in ("nodeName", "serviceAccount", "serviceAccountName"):
        twin["spec"].pop(field, None)
    _forget(world, name)
    world.client.create("pods", world.namespace, twin)
    try:
        if not world.eventually(lambda: is_ready(world.get("pods", name) or {"status": {}})):
            raise why_not(pod(world, name))
        if begun is not None:
            world.eventually(lambda: begun(name), within=3.0)
        began = time.monotonic()
        world.client.delete("pods", world.namespace, name)
        patience = found["spec"].get("terminationGracePeriodSeconds", 30) + 5.0
        ended = world.eventually(lambda: terminated(world.get("pods", name) or {}), within=min(patience, 15.0))
        return ended or {}, time.monotonic() - began
    finally:
        _forget(world, name)


def _forget(world: World, name: str) -> None:
    """Take a Pod of ours away, finalizer and all."""
    try:
        world.client.patch("pods", world.namespace, name, {"metadata": {"finalizers": None}})
        world.client.delete("pods", world.namespace, name, grace=0)
    except StatusError as error:
        if error.code != 404:
            raise
    world.eventually(lambda: world.get("pods", name) is None)
