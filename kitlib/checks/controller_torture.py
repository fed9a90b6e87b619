"""A learner's controller on the rack: what every ReplicaSet controller must survive.

The check never sees the code.  It creates ReplicaSets, watches what the controller that holds the Lease
does to them, and makes its life hard through the API server: refused writes, events that never arrive,
watches that break, and finally a restart with an empty memory.  A controller that only looks right loses
count on the way.

    quiet       0 → 3, 3 → 5, 5 → 2, one Pod killed; a second ReplicaSet beside it
    faults      a third of its writes refused, a third of its events lost, its watches closed
    restart     everything forgotten; nothing may be created or deleted because of that
"""

from __future__ import annotations

import time
from typing import Any

from kitlib.checks.framework import Wrong
from kitlib.checks.world import World
from kitlib.client.runner import RESTART
from kitlib.objects.clock import parse_time
from kitlib.objects.errors import StatusError
from kitlib.objects.meta import controller_of

RS, LEASES = "replicasets.apps", "leases.coordination.k8s.io"
NAMES = ("torture", "torture-beside")
FRESH_SECONDS = 6.0
QUIET_PATIENCE = 5.0
FAULTY_PATIENCE = 20.0  # lost events are made up for by the next relist
FAULT_SECONDS = 2.5
RESTART_SECONDS = 2.5


def torture(world: World, replaces: str) -> None:
    """Raise Wrong with the first promise that the controller in place of the built-in one breaks."""
    holder = _holder(world, replaces)
    world.note(f"the job of {replaces} is held by {holder!r}")
    rack = _Rack(world, holder, f"kit-controller-{replaces}")
    _clean(world)
    try:
        rack.quiet()
        rack.faults()
        rack.restart()
    finally:
        world.kit("faults", {})
        _clean(world)


def _holder(world: World, replaces: str) -> str:
    """Who holds the Lease, if it is fresh: the learner's controller must be running while it is checked."""
    lease = world.get(LEASES, f"kit-controller-{replaces}", "kube-system")
    if lease is None:
        raise Wrong("the built-in controller still does the job",
                    f'Run yours with `kit.run_controller(MyReplicaSets, replaces="{replaces}")`.',
                    expected="a Lease of your controller", actual="none")
    if time.time() - parse_time(lease["spec"]["renewTime"]) > FRESH_SECONDS:
        raise Wrong("your controller is not running any more",
                    "Its Lease was not renewed: run the cell with `kit.run_controller` again, and check while it runs.")
    return str(lease["spec"]["holderIdentity"])


class _Rack:
    def __init__(self, world: World, holder: str, lease: str) -> None:
        self.world, self.holder, self.lease = world, holder, lease
        self.patience = QUIET_PATIENCE

    def quiet(self) -> None:
        self._make("torture", 3)
        self._expect("torture", 3, "starting from nothing")
        self._look_at_pods("torture")
        self._make("torture-beside", 2)
        self._expect("torture-beside", 2, "a second ReplicaSet beside the first")
        self._expect("torture", 3, "a second ReplicaSet beside it")
        self._scale("torture", 5)
        self._expect("torture", 5, "scaling up")
        self._scale("torture", 2)
        self._expect("torture", 2, "scaling down")
        self._kill("torture")
        self._expect("torture", 2, "a Pod was killed")
        self._expect("torture-beside", 2, "all that happened to the other one")

    def faults(self) -> None:
        self.world.kit("faults", {"userAgent": self.holder, "conflicts": 0.35, "dropEvents": 0.35, "closeWatches": True,
                                  "seed": 7, "until": FAULT_SECONDS})
        self.world.note(f"for {FAULT_SECONDS} s a third of its writes is refused and a third of its events is lost")
        self._scale("torture", 4)
        self._kill("torture")
        time.sleep(FAULT_SECONDS)
        self.world.kit("faults", {})
        self.patience = FAULTY_PATIENCE
        self._expect("torture", 4, "refused writes and lost events")

    def restart(self) -> None:
        before = {pod["metadata"]["name"] for pod in self.world.pods(owner="torture")}
        mark = str(time.time_ns())
        self.world.client.patch(LEASES, "kube-system", self.lease, {"metadata": {"annotations": {RESTART: mark}}})
        time.sleep(RESTART_SECONDS)
        self._expect("torture", 4, "a restart")
        after = {pod["metadata"]["name"] for pod in self.world.pods(owner="torture")}
        if after != before:
            raise Wrong("after a restart it replaced Pods that were fine",
                        "A new process knows nothing but what it observes: everything it needs must be in the cluster, "
                        "not in a variable.", expected=sorted(before), actual=sorted(after))
        self._scale("torture", 1)
        self._expect("torture", 1, "scaling down after a restart")

    # -- doing -------------------------------------------------------------------------------------

    def _make(self, name: str, replicas: int) -> None:
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": {
            "terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": "busybox",
                                                                "command": ["sleep", "3600"]}]}}
        self.world.client.create(RS, self.world.namespace, {
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}})

    def _scale(self, name: str, replicas: int) -> None:
        self.world.client.patch(RS, self.world.namespace, name, {"spec": {"replicas": replicas}})

    def _kill(self, name: str) -> None:
        pods = self.world.pods(owner=name)
        if pods:
            self.world.client.delete("pods", self.world.namespace, pods[0]["metadata"]["name"], grace=0)

    # -- looking -----------------------------------------------------------------------------------

    def _expect(self, name: str, count: int, after: str) -> None:
        """Exactly `count` living Pods of the ReplicaSet, and still so a moment later."""
        def right() -> bool:
            return len(self.world.pods(owner=name)) == count

        if self.world.eventually(lambda: right() and self.world.stays(right, 0.3), within=self.patience):
            self.world.note(f"{after}: {count} Pods, and it stays so")
            return
        actual = len(self.world.pods(owner=name))
        loose = [pod for pod in self.world.pods(f"app={name}") if controller_of(pod) is None]
        if loose:
            raise Wrong("it creates Pods that belong to nobody",
                        "A Pod needs `metadata.ownerReferences` with the uid of the ReplicaSet and `controller: true` "
                        "(`objects.meta.owner_reference` makes one): how else could it find them again?",
                        expected="owned Pods", actual=f"{len(loose)} Pods without an owner")
        raise Wrong(f"after {after} there are {actual} Pods of {name}, not {count}", _hint(actual, count, after),
                    expected=count, actual=actual)

    def _look_at_pods(self, name: str) -> None:
        makers = {r["actor"] for r in self.world.trace()
                  if r["resource"] == "pods" and r["verb"] == "create" and not r["subresource"]
                  and r["name"].startswith("torture")}
        if not any(maker.startswith(self.holder) for maker in makers):
            raise Wrong("the Pods were made by somebody else", "Your controller holds the Lease, but does nothing: do "
                        "`observe` and `diff` return something?", expected=self.holder, actual=sorted(makers))
        for pod in self.world.pods(owner=name):
            if [c["image"] for c in pod["spec"]["containers"]] != ["busybox"]:
                raise Wrong("its Pods are not made from the template", "Copy `spec.template.spec` and the template's "
                            "labels of the ReplicaSet into the Pod.", actual=[c["image"] for c in
                                                                              pod["spec"]["containers"]])


def _hint(actual: int, count: int, after: str) -> str:
    if "restart" in after or "refused" in after:
        return ("A refused write is not an error to give up on: raise it (or let it be raised), and the key comes "
                "back. Lost events are no loss if `diff` looks at the whole state, never at what changed.")
    if actual > count:
        return ("Too many: does `diff` count the Pods that are already there, and delete those beyond "
                "`spec.replicas`?" if actual - count < 20 else
                "Pods without end: what `observe` finds must contain the Pods that you made a moment ago.")
    if actual == 0:
        return "Nothing at all: what do `observe` and `diff` return for this key? `running.records()` shows each turn."
    return "Too few: the number to create is what is wanted minus what is there; deleted Pods do not count."


def _clean(world: World) -> None:
    for name in NAMES:
        for resource, selector in ((RS, ""), ("pods", f"app={name}")):
            items: list[dict[str, Any]] = [{"metadata": {"name": name}}] if resource == RS else \
                world.list(resource, selector)
            for item in items:
                try:
                    world.client.delete(resource, world.namespace, item["metadata"]["name"], grace=0)
                except StatusError as error:
                    if error.code != 404:
                        raise
