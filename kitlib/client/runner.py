"""Run a controller of your own: a thread that drives a `Manager` over HTTPS.

    running = run_controller(MyReplicaSets(), replaces="replicaset")
    ...
    running.records()      what it saw, decided and did
    running.restart()      as if the process had died: an empty cache, an empty queue, the same cluster
    running.stop()         the built-in controller takes the job back

The class is the same that would run inside the cluster process.  With `replaces` the built-in controller of that
name rests, because we hold the Lease `kube-system/kit-controller-NAME` and renew it while we live; if this
process dies the Lease runs out and the built-in one goes on.  Only kit's own clusters can be asked for that: a
real kube-controller-manager does not give single controllers away.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from functools import partial

from kitlib.client.client import Client
from kitlib.client.controller import Controller
from kitlib.client.http import HttpTransport
from kitlib.client.manager import LEASE_NAMESPACE, LEASE_PREFIX, LEASES, Manager
from kitlib.client.record import Record
from kitlib.client.transport import Transport
from kitlib.objects.clock import Clock, SystemClock, rfc3339_micro
from kitlib.objects.errors import StatusError

LEASE_SECONDS, RENEW_EVERY = 15, 1.0
RESTART = "kit/restart"   # an annotation of the Lease: whoever changes it makes us lose our memory
IDLE_WAIT = 1.0


class RunningController:
    """A controller in a thread.  make() gives a new one for every start, so a restart forgets everything."""

    def __init__(self, make: Callable[[], Controller], transport: Transport, *, replaces: str = "",
                 namespace: str | None = None, relist: float = 0.0, clock: Clock | None = None) -> None:
        self._make, self._transport, self._replaces = make, transport, replaces
        self._namespace, self._relist, self._clock = namespace, relist, clock or SystemClock()
        self._client = Client(transport, f"kit/{replaces or 'controller'}")
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._renewed = 0.0
        self._restart_mark = ""
        self.error: Exception | None = None
        self.manager: Manager | None = None

    def start(self) -> RunningController:
        if self._replaces:
            self._take_over(self._make().name)
        self._stop.clear()
        self.manager = manager = self._new_manager()
        self._thread = threading.Thread(target=self._run, args=(manager,), name=f"kit-{manager.names()[0]}",
                                        daemon=True)
        self._thread.start()
        return self

    def _new_manager(self) -> Manager:
        controller = self._make()
        manager = Manager(lambda agent: Client(self._transport, agent), self._clock, component=controller.name,
                          namespace=self._namespace, relist=self._relist)
        manager.add(controller, user_agent=controller.name)
        manager.on_ready(self._wake.set)
        return manager

    def stop(self) -> None:
        """End the thread and give the job back."""
        self._halt()
        if self._replaces:
            try:
                self._client.delete(LEASES, LEASE_NAMESPACE, LEASE_PREFIX + self._replaces)
            except StatusError as error:
                if error.code != 404:
                    raise

    def restart(self) -> None:
        """Lose all memory (cache, queue, what was written) and start again; the Lease stays ours."""
        self._halt()
        self.start()

    def records(self) -> list[Record]:
        return list(self.manager.records) if self.manager else []

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def __enter__(self) -> RunningController:
        return self if self.alive else self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _halt(self) -> None:
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=10.0)

    def _run(self, manager: Manager) -> None:
        try:
            while not self._stop.is_set():
                self._wake.clear()
                if self._replaces and self._clock.monotonic() - self._renewed > RENEW_EVERY \
                        and self._hold_lease(manager.names()[0]):
                    manager.stop()
                    self.manager = manager = self._new_manager()
                if not manager.run_once():
                    self._wake.wait(self._pause(manager))
        except Exception as error:   # kept for the person who asks why it is not running any more
            self.error = error
            raise
        finally:
            manager.stop()

    def _pause(self, manager: Manager) -> float:
        due = manager.next_due()
        return IDLE_WAIT if due is None else min(IDLE_WAIT, max(0.0, due - self._clock.monotonic()))

    def _take_over(self, identity: str) -> None:
        try:
            self._transport.request("POST", f"/kit/controllers/{self._replaces}/replace", obj={"holder": identity})
        except StatusError as error:
            if error.code in (404, 405):
                raise RuntimeError(f"this cluster has no built-in controller {self._replaces!r} that can be replaced; "
                                   "only kit's embedded clusters do") from error
            raise
        self._hold_lease(identity)

    def _hold_lease(self, identity: str) -> bool:
        """Create or renew the Lease that says this job is ours.  True: somebody asked for a restart through it."""
        now = self._clock.now()
        name = LEASE_PREFIX + self._replaces
        spec = {"holderIdentity": identity, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": rfc3339_micro(now)}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                 "metadata": {"name": name, "namespace": LEASE_NAMESPACE}, "spec": spec}
        try:
            held = self._client.patch(LEASES, LEASE_NAMESPACE, name, {"spec": spec})
        except StatusError as error:
            if error.code != 404:
                raise
            held = self._client.create(LEASES, LEASE_NAMESPACE, lease)
        self._renewed = self._clock.monotonic()
        before, self._restart_mark = self._restart_mark, held["metadata"].get("annotations", {}).get(RESTART, "")
        return self._restart_mark not in ("", before)


def run_controller(controller: Controller | type[Controller], *, replaces: str = "", namespace: str | None = None,
                   kubeconfig: str | None = None, context: str = "", relist: float = 5.0,
                   transport: Transport | None = None) -> RunningController:
    """Start a controller against a cluster ($KUBECONFIG's by default) and return its handle.

    Give the class or an instance; `restart` begins with a new one, as it was when it was given.
    """
    make = controller if isinstance(controller, type) else partial(copy.deepcopy, copy.deepcopy(controller))
    way = transport or HttpTransport.from_kubeconfig(kubeconfig, context)
    return RunningController(make, way, replaces=replaces, namespace=namespace, relist=relist).start()
