"""Manager: runs controllers, and lets a person stop one and look inside.

It owns what controllers share: one informer per resource, however many controllers read it.  It has no thread and
never waits: `run_once` does a slice of work and says whether there is more; `next_due` says when to come back;
`on_ready` tells when an event has come.  The cluster process calls it from its event loop, `client/runner.py` from a
thread, a test step by step.

    pause(name)     the controller sees events and queues keys, but does not act
    step(name)      one reconcile, its record comes back
    resume(name)
    replace(name)   somebody else does this job

Who may replace whom is agreed the way Kubernetes agrees on leaders: by a Lease, `kube-system/kit-controller-NAME`.
While it is held and fresh, the built-in controller of that name rests; when it expires or is deleted it goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from kitlib.client.client import Client
from kitlib.client.controller import Controller
from kitlib.client.informer import Informer, Object
from kitlib.client.loop import Job
from kitlib.client.paths import CLUSTER_SCOPED
from kitlib.client.record import Record
from kitlib.objects.clock import Clock, parse_time

LEASES, LEASE_NAMESPACE, LEASE_PREFIX = "leases.coordination.k8s.io", "kube-system", "kit-controller-"
REPLACE_GRACE = 15.0
RECORDS = 1000


class Manager:
    """client_factory(user agent) gives each controller a client of its own: writes carry its name.

    namespace: restrict everything to one (a learner on a shared cluster).  leases: yield to replacements.
    relist: list all caches again every so many seconds, for a network that loses watch events.
    """

    def __init__(self, client_factory: Callable[[str], Client], clock: Clock, *,
                 component: str = "kube-controller-manager", namespace: str | None = None, leases: bool = False,
                 relist: float = 0.0) -> None:
        self.clock = clock
        self.records: deque[Record] = deque(maxlen=RECORDS)
        self._client_factory, self._component, self._namespace = client_factory, component, namespace
        self._relist = relist
        self._reader = client_factory(component)
        self._informers: dict[str, Informer] = {}
        self._jobs: dict[str, Job] = {}
        self._numbers = 0
        self._replaced_until: dict[str, float] = {}   # by replace(): monotonic
        self._leases = self._lease_informer() if leases else None
        self._ready: Callable[[], None] = lambda: None

    # -- building ---------------------------------------------------------------------------------------------

    def add(self, controller: Controller, user_agent: str = "") -> None:
        resources = dict.fromkeys((controller.resource, *controller.owns, *controller.reads))
        caches = {resource: self.informer(resource) for resource in resources}
        job = Job(controller, caches, self.clock)
        self._jobs[controller.name] = job
        agent = user_agent or controller.user_agent or f"{self._component}/{controller.name}"
        client = self._client_factory(agent)
        controller.bind(client, caches, self.clock, job.queue, job.wake, self.informer)

    def informer(self, resource: str) -> Informer:
        """The one shared cache of a resource."""
        if resource not in self._informers:
            namespace = None if resource in CLUSTER_SCOPED else self._namespace
            self._informers[resource] = Informer(self._reader, resource, namespace, clock=self.clock,
                                                 relist=self._relist)
            self._informers[resource].on_ready(self._event_came)
        return self._informers[resource]

    def controller(self, name: str) -> Controller:
        return self._jobs[name].controller

    def names(self) -> list[str]:
        return list(self._jobs)

    # -- running ----------------------------------------------------------------------------------------------

    def on_ready(self, callback: Callable[[], None]) -> None:
        """callback: an event has come; call `run_once` soon."""
        self._ready = callback

    def sync(self) -> int:
        """Bring all caches up to date; how many changes that was."""
        changes = sum([informer.sync() for informer in list(self._informers.values())])   # a sync may open another
        return changes + (self._leases.sync() if self._leases else 0)

    @property
    def synced(self) -> bool:
        """All caches have had their first list: before that, nothing may be reconciled.

        A resource that is not served holds nobody up: the garbage collector reads CRDs' kinds, and those may go.
        """
        return all(informer.synced or informer.absent for informer in self._informers.values())

    def run_once(self, turns: int = 20) -> bool:
        """One slice: take in events, then at most `turns` reconciles of each controller.  True: something was done."""
        changes = self.sync()
        if not self.synced:
            return changes > 0
        done = 0
        for name, job in self._jobs.items():
            for _ in range(turns):
                if not self._may_run(name) or self._turn(job) is None:
                    break
                done += 1
        return changes + done > 0

    def run_until_idle(self, most: int = 10_000) -> int:
        """For tests and batch work: slices until nothing is left to do right now.  Returns how many."""
        for slices in range(most):
            if not self.run_once():
                return slices
        raise RuntimeError(f"still busy after {most} slices: {[n for n, j in self._jobs.items() if len(j.queue)]}")

    def next_due(self) -> float | None:
        """The monotonic time at which there is something to do even if no event comes."""
        times = [informer.next_due() for informer in self._informers.values()]
        times += [job.queue.next_due() for name, job in self._jobs.items() if self._may_run(name)]
        times += [until for until in self._replaced_until.values() if until > self.clock.monotonic()]
        if self._leases is not None:
            times += [self._leases.next_due(), *self._lease_ends()]
        return min((when for when in times if when is not None), default=None)

    def stop(self) -> None:
        for informer in [*self._informers.values(), *([self._leases] if self._leases else [])]:
            informer.stop()

    def _event_came(self) -> None:
        self._ready()

    def _turn(self, job: Job, *, by_hand: bool = False) -> Record | None:
        record = job.turn(self._numbers + 1, by_hand=by_hand)
        if record is not None:
            self._numbers += 1
            self.records.append(record)
        return record

    # -- stopping and looking ---------------------------------------------------------------------------------

    def pause(self, name: str) -> None:
        self._jobs[name].paused = True

    def resume(self, name: str) -> None:
        """Go on, also if it was `replace`d by hand (a Lease that is held still counts)."""
        self._jobs[name].paused = False
        self._replaced_until.pop(name, None)

    def step(self, name: str | None = None) -> Record | None:
        """One reconcile of a (paused) controller, or of the next paused one with work; None if there is nothing."""
        self.sync()
        names = [name] if name else [n for n, job in self._jobs.items() if job.paused]
        for candidate in names:
            record = self._turn(self._jobs[candidate], by_hand=True)
            if record is not None:
                record.stepped = self._jobs[candidate].paused
                return record
        return None

    def replace(self, name: str) -> None:
        """Rest, so that another one can take the Lease; without a Lease the job comes back after REPLACE_GRACE."""
        if name not in self._jobs:
            raise KeyError(name)
        self._replaced_until[name] = self.clock.monotonic() + REPLACE_GRACE

    def holder(self, name: str) -> str:
        """Who holds the job's Lease now; "" if nobody does."""
        lease = self._leases and self._leases.get(f"{LEASE_NAMESPACE}/{LEASE_PREFIX}{name}")
        if not lease or _lease_end(lease) <= self.clock.now():
            return ""
        return lease["spec"].get("holderIdentity") or ""

    def records_since(self, number: int = 0, controller: str = "") -> list[Record]:
        return [r for r in self.records if r.number > number and controller in ("", r.controller)]

    def status(self) -> list[dict[str, Any]]:
        """For GET /kit/controllers."""
        return [{"name": name, "resource": job.controller.resource, "state": self._state(name),
                 "holder": self.holder(name), "queue": len(job.queue)} for name, job in self._jobs.items()]

    def _state(self, name: str) -> str:
        if self._is_replaced(name):
            return "replaced"
        return "paused" if self._jobs[name].paused else "running"

    def _may_run(self, name: str) -> bool:
        return not self._jobs[name].paused and not self._is_replaced(name)

    def _is_replaced(self, name: str) -> bool:
        return self._replaced_until.get(name, 0.0) > self.clock.monotonic() or bool(self._leases and self.holder(name))

    def _lease_informer(self) -> Informer:
        informer = Informer(self._reader, LEASES, LEASE_NAMESPACE, clock=self.clock, relist=self._relist)
        informer.on_ready(self._event_came)

        def handler(kind: str, old: Object | None, new: Object | None) -> None:
            name = (new or old or {})["metadata"]["name"].removeprefix(LEASE_PREFIX)
            if kind == "DELETED" or not ((new or {}).get("spec") or {}).get("holderIdentity"):
                self._replaced_until.pop(name, None)   # given back: no need to wait for the grace to end

        informer.add_handler(handler)
        return informer

    def _lease_ends(self) -> list[float]:
        now, monotonic = self.clock.now(), self.clock.monotonic()
        ends = [_lease_end(lease) for lease in (self._leases.list() if self._leases else ())
                if lease["metadata"]["name"].startswith(LEASE_PREFIX)]
        return [monotonic + end - now for end in ends if end > now]


def _lease_end(lease: Mapping[str, Any]) -> float:
    spec = lease.get("spec") or {}
    renewed = spec.get("renewTime")
    return parse_time(renewed) + float(spec.get("leaseDurationSeconds") or 0) if renewed else 0.0
