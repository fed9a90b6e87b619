"""The /kit/ paths: what a learner may ask this cluster that no real API server would answer.

    GET  /kit/status                           what runs and how much there is
    GET  /kit/trace?since=REV&object=RES/NS/NAME    who wrote what because of what
    GET  /kit/controllers                      name, state, queue
    POST /kit/controllers/NAME/pause | step | resume | replace
    GET  /kit/nodes                            which nodes are switched on
    POST /kit/nodes/NAME/stop | kill | start   see power.py; stop: {"seconds": for all of it}
    GET  /kit/records?controller=NAME&since=N  reconciles: observed, decided, wrote
    GET  /kit/decisions?pod=NS/NAME            what the scheduler thought about a Pod, newest last
    POST /kit/faults                           see faults.py; an empty object ends them

They are handlers behind the API's own door, so TLS, authentication and the group system:masters guard them.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any

import orjson

from kitlib.api.request import Request, Response
from kitlib.client.manager import Manager
from kitlib.cluster.faults import Faults
from kitlib.cluster.power import LONGEST, Power
from kitlib.node.shutdown import SECONDS
from kitlib.objects.errors import StatusError, bad_request, no_such_path
from kitlib.scheduler.scheduler import Scheduler
from kitlib.store import Store
from kitlib.trace.record import Recorder

PREFIX = "/kit/"


class KitApi:
    """Answers the /kit/ paths of one cluster.  state: what run/state.json says."""

    def __init__(self, store: Store, manager: Manager, wake: Callable[[], None], recorder: Recorder, faults: Faults,
                 state: Callable[[], dict[str, Any]], power: Power | None) -> None:
        self._store, self._manager, self._wake, self._recorder = store, manager, wake, recorder
        self._faults, self._state, self._power = faults, state, power

    def handle(self, request: Request) -> Response:
        try:
            return _json(self._answer(request, request.path.removeprefix(PREFIX).strip("/").split("/")))
        except StatusError as error:
            return _json(error.status, error.code)

    def _answer(self, request: Request, parts: list[str]) -> Any:
        if (request.method, len(parts)) == ("GET", 1):
            reads = {"status": self._status, "trace": self._trace, "controllers": self._controllers,
                     "records": self._records, "nodes": self._nodes, "decisions": self._decisions}
            if parts[0] in reads:
                return reads[parts[0]](request)
        if request.method == "POST" and parts[0] == "controllers" and len(parts) == 3:
            return self._control(parts[1], parts[2])
        if request.method == "POST" and parts[0] == "nodes" and len(parts) == 3 and self._power is not None:
            seconds = _body(request).get("seconds", SECONDS)
            if not isinstance(seconds, (int, float)) or not 0 <= seconds <= LONGEST:
                raise bad_request(f"seconds must be a number from 0 to {LONGEST:.0f}, not {seconds!r}")
            return {"name": parts[1], "state": self._power.press(parts[1], parts[2], seconds)}
        if request.method == "POST" and parts == ["faults"]:
            self._faults.configure(_body(request))
            return {"spoiled": self._faults.spoiled}
        raise no_such_path()

    def _status(self, _request: Request) -> dict[str, Any]:
        store = self._store
        return {**self._state(), "revision": store.revision, "durableRevision": store.durable_revision,
                "failure": store.failure, "objects": {name: store.count(name) for name in store.resources()},
                "residentBytes": resident_bytes(), "cpuSeconds": _cpu_seconds()}

    def _trace(self, request: Request) -> dict[str, Any]:
        wanted = request.param("object")
        records = [record.json() for record in self._recorder.since(_number(request, "since"))]
        if wanted:
            records = [r for r in records if f"{r['resource']}/{r['namespace']}/{r['name']}" == wanted]
        return {"revision": self._store.revision, "records": records}

    def _controllers(self, _request: Request) -> dict[str, Any]:
        return {"controllers": self._manager.status()}

    def _records(self, request: Request) -> dict[str, Any]:
        found = self._manager.records_since(_number(request, "since"), request.param("controller"))
        return {"records": [record.as_json() for record in found]}

    def _decisions(self, request: Request) -> dict[str, Any]:
        scheduler, pod = self._manager.controller("scheduler"), request.param("pod")
        kept = scheduler.decisions if isinstance(scheduler, Scheduler) else ()
        return {"decisions": [{**decision.as_json(), "annotations": decision.annotations()}
                              for decision in kept if pod in ("", decision.pod)]}

    def _nodes(self, _request: Request) -> dict[str, Any]:
        return {"nodes": self._power.states() if self._power else {}}

    def _control(self, name: str, verb: str) -> dict[str, Any]:
        manager = self._manager
        if name not in manager.names():
            raise StatusError(404, "NotFound", f'there is no controller "{name}"; there is: '
                                               f"{', '.join(sorted(manager.names()))}")
        if verb == "step":
            record = manager.step(name)
            return {"record": record.as_json() if record else None, **self._one(name)}
        actions = {"pause": manager.pause, "resume": manager.resume, "replace": manager.replace}
        if verb not in actions:
            raise no_such_path()
        actions[verb](name)
        self._wake()
        return self._one(name)

    def _one(self, name: str) -> dict[str, Any]:
        return {"controller": next(entry for entry in self._manager.status() if entry["name"] == name)}


def resident_bytes(pid: str = "self") -> int:
    """What the kernel counts as this process's memory (VmRSS)."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return round(used.ru_utime + used.ru_stime, 3)


def _number(request: Request, name: str) -> int:
    text = request.param(name, "0")
    if not text.isdigit():
        raise bad_request(f"{name} must be a number, not {text!r}")
    return int(text)


def _body(request: Request) -> dict[str, Any]:
    try:
        found = request.obj if request.obj is not None else orjson.loads(request.body or b"{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise bad_request("the body must be a JSON object")
    return found


def _json(obj: Any, code: int = 200) -> Response:
    return Response(code, orjson.dumps(obj, default=str), obj)
