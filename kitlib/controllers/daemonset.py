"""DaemonSet: one Pod on every node that will have it.

It decides *where* itself (by the node's labels and taints, with the scheduler's own rules), and leaves the binding to
the scheduler: each Pod carries a node affinity for exactly one node name.  Its Pods tolerate what ordinary Pods do
not: a node that is not ready, under pressure or cordoned still needs its log collector and its network.

An update replaces Pods node by node: at most `maxUnavailable` nodes without a working Pod at a time; or, with
`maxSurge`, the new Pod first and the old one when the new one is available.  `OnDelete` waits for somebody to delete.

Source: k8s.io/kubernetes/pkg/controller/daemon (daemon_controller.go, update.go, util/daemonset_util.go).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kitlib.client.actions import Action, Create, Delete, Emit, RequeueAfter, UpdateStatus
from kitlib.client.controller import Controller
from kitlib.controllers import history, node_fit
from kitlib.controllers import pods as pods_
from kitlib.controllers.rollout import share_of
from kitlib.controllers.template_hash import compute_hash
from kitlib.objects.meta import clone, object_key

Object = dict[str, Any]

GENERATION = "pod-template-generation"
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
BURST = 250


@dataclass(frozen=True)
class Observed:
    ds: Object
    pods: list[Object]
    nodes: list[Object]
    revisions: list[Object]
    now: float


class DaemonSet(Controller):
    name = "daemonset"
    resource = "daemonsets.apps"
    owns = ("pods", history.REVISIONS)
    reads = ("nodes",)

    def setup(self) -> None:
        self.cache("nodes").add_handler(self._node_changed)

    def _node_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        """A heartbeat changes nothing here; labels, taints and the node itself do."""
        if old is not None and new is not None and node_fit.relevant(old) == node_fit.relevant(new):
            return
        for ds in self.cache(self.resource).list():
            self._wake(object_key(ds), kind, "nodes", new or old or {})

    def observe(self, key: str) -> Observed | None:
        ds = self.get(key)
        if ds is None or "deletionTimestamp" in ds["metadata"]:
            return None
        nodes = sorted(self.cache("nodes").list(), key=object_key)
        return Observed(ds, self.owned("pods", ds), nodes, self.owned(history.REVISIONS, ds), self.clock.now())

    def diff(self, observed: Observed) -> list[Action]:
        return Turn(observed).actions()


class Turn:
    """One turn of diff."""

    def __init__(self, observed: Observed) -> None:
        self.ds, self.spec, self.now = observed.ds, observed.ds["spec"], observed.now
        self.revisions = observed.revisions
        collisions = (self.ds.get("status") or {}).get("collisionCount")
        self.revision, self.make_revision = history.find_or_make(
            self.ds, observed.revisions, lambda data: compute_hash(self.spec["template"], collisions))
        self.hash = self.revision["metadata"]["labels"][history.HASH_LABEL]
        self.patience = self.spec.get("minReadySeconds") or 0
        self.pods = observed.pods
        self.by_node: dict[str, list[Object]] = {}
        for pod in observed.pods:
            self.by_node.setdefault(node_fit.target(pod), []).append(pod)
        tolerant = tolerating(self.spec["template"]["spec"])
        self.fits = {node["metadata"]["name"]: node_fit.fits(tolerant, node) for node in observed.nodes}
        self.should_run = [name for name, fit in self.fits.items() if fit.run]

    def actions(self) -> list[Action]:
        changes = self._place()
        if not changes and (self.spec.get("updateStrategy") or {}).get("type") != "OnDelete":
            changes = self._roll()
        created = [node_fit.target(action.obj) for action in changes if isinstance(action, Create)]
        status = self._status(created, sum(isinstance(action, Delete) for action in changes))
        actions = [*self.make_revision, *changes]
        if status != self.ds.get("status"):
            actions.append(UpdateStatus(DaemonSet.resource, self.ds | {"status": status}))
        live = {r["metadata"]["name"] for r in self.revisions if r["metadata"]["labels"].get(history.HASH_LABEL) in
                {self.hash, *(_hash(pod) for pod in self.pods)}}
        return [*actions, *history.surplus(self.revisions, live, self.spec.get("revisionHistoryLimit")), *self._later()]

    # -- where ------------------------------------------------------------------------------------------------

    def _place(self) -> list[Action]:
        """A Pod for every node that should have one and has none; away with the others."""
        create, delete = [], []
        for name, fit in self.fits.items():
            mine = [pod for pod in self.by_node.get(name, ()) if "deletionTimestamp" not in pod["metadata"]]
            alive = [pod for pod in mine if not pods_.is_finished(pod)]
            delete += [pod for pod in mine if pods_.phase(pod) == "Failed"]   # made again when it is gone
            if fit.run and not self.by_node.get(name):
                create.append(name)
            elif not fit.stay:
                delete += alive
            elif len(alive) > 1 and not self._surging(alive):
                delete += sorted(alive, key=lambda pod: pod["metadata"]["creationTimestamp"])[1:]
        delete += [pod for name, pods in self.by_node.items() if name not in self.fits for pod in pods
                   if "deletionTimestamp" not in pod["metadata"]]
        return [*(self._create(name) for name in create[:BURST]), *(self._delete(pod) for pod in delete[:BURST])]

    def _surging(self, alive: Sequence[Object]) -> bool:
        """Old and new side by side, as an update with maxSurge wants it."""
        return self._limits()[0] > 0 and len({_hash(pod) == self.hash for pod in alive}) == 2

    def _create(self, node: str) -> Create:
        meta, template = self.ds["metadata"], clone(self.spec["template"])
        made = pods_.from_template(template, self.ds)
        generation = (meta.get("annotations") or {}).get(TEMPLATE_GENERATION) or str(meta.get("generation", 1))
        made["metadata"]["labels"] = (made["metadata"].get("labels") or {}) | {
            history.POD_LABEL: self.hash, GENERATION: generation}
        made["spec"] = node_fit.pinned(tolerating(made["spec"]), node)
        return Create("pods", made, Emit(self.ds, "SuccessfulCreate", "Created pod: {name}"),
                      Emit(self.ds, "FailedCreate", "Error creating: {error}", "Warning"))

    def _delete(self, pod: Object) -> Delete:
        meta = pod["metadata"]
        return Delete("pods", meta["namespace"], meta["name"], uid=meta["uid"],
                      then=Emit(self.ds, "SuccessfulDelete", f"Deleted pod: {meta['name']}"))

    # -- update -----------------------------------------------------------------------------------------------

    def _limits(self) -> tuple[int, int]:
        """(surge, unavailable) in nodes."""
        rolling = (self.spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
        surge = share_of(rolling.get("maxSurge"), len(self.should_run), up=True)
        unavailable = share_of(rolling.get("maxUnavailable", 1), len(self.should_run), up=True)
        return surge, unavailable if surge or unavailable else 1

    def _roll(self) -> list[Action]:
        surge, unavailable = self._limits()
        return self._roll_with_surge(surge) if surge else self._roll_in_place(unavailable)

    def _roll_in_place(self, limit: int) -> list[Action]:
        """Delete old Pods on at most `limit` nodes at a time; those that do not work are no loss."""
        broken, candidates, down = [], [], 0
        for name in self.should_run:
            old, new = self._old_and_new(name)
            if new is not None:
                down += not self._is_available(new)
            elif old is None:
                down += 1
            elif not self._is_available(old):
                broken.append(old)
                down += 1
            else:
                candidates.append(old)
        going = [*broken, *candidates[:max(0, limit - down)]]
        return [self._delete(pod) for pod in going if "deletionTimestamp" not in pod["metadata"]]

    def _roll_with_surge(self, limit: int) -> list[Action]:
        """Make a new Pod beside the old one; the old goes when the new is available."""
        delete, create, surging = [], [], 0
        for name in self.should_run:
            old, new = self._old_and_new(name)
            if old is None or "deletionTimestamp" in old["metadata"]:
                continue
            if new is None:
                (delete.append(old) if not self._is_available(old) else create.append(name))
            elif self._is_available(new):
                delete.append(old)
            else:
                surging += 1
        return [*(self._delete(pod) for pod in delete),
                *(self._create(name) for name in create[:max(0, limit - surging)])]

    def _old_and_new(self, node: str) -> tuple[Object | None, Object | None]:
        pods = [pod for pod in self.by_node.get(node, ()) if not pods_.is_finished(pod)]
        old = next((pod for pod in pods if _hash(pod) != self.hash), None)
        return old, next((pod for pod in pods if _hash(pod) == self.hash), None)

    def _is_available(self, pod: Object) -> bool:
        return pods_.available_in(pod, self.patience, self.now) == 0 and "deletionTimestamp" not in pod["metadata"]

    # -- status -----------------------------------------------------------------------------------------------

    def _status(self, created: Sequence[str], deleted: int) -> Object:
        scheduled = ready = available = updated = misscheduled = 0
        for name, fit in self.fits.items():
            pods = sorted((pod for pod in self.by_node.get(name, ()) if not pods_.is_finished(pod)),
                          key=lambda pod: (not pods_.is_ready(pod), pod["metadata"]["creationTimestamp"]))
            if not fit.run:
                misscheduled += bool(pods)
            elif pods or name in created:
                scheduled += 1
                best = pods[0] if pods else None
                ready += best is not None and pods_.is_ready(best)
                available += best is not None and pods_.available_in(best, self.patience, self.now) == 0
                updated += best is None or _hash(best) == self.hash
        wanted = len(self.should_run)
        status: Object = {"currentNumberScheduled": scheduled, "numberMisscheduled": misscheduled,
                          "desiredNumberScheduled": wanted, "numberReady": ready,
                          "observedGeneration": self.ds["metadata"].get("generation", 1)}
        counts = {"updatedNumberScheduled": updated, "numberAvailable": available,
                  "numberUnavailable": wanted - available}
        status |= {name: count for name, count in counts.items() if count}
        known: Mapping[str, Any] = self.ds.get("status") or {}
        return status | ({"collisionCount": known["collisionCount"]} if known.get("collisionCount") else {})

    def _later(self) -> list[Action]:
        waits = [seconds for pod in self.pods
                 if (seconds := pods_.available_in(pod, self.patience, self.now))] if self.patience else []
        return [RequeueAfter(min(waits))] if waits else []


TOLERATED = (("not-ready", "NoExecute"), ("unreachable", "NoExecute"), ("disk-pressure", "NoSchedule"),
             ("memory-pressure", "NoSchedule"), ("pid-pressure", "NoSchedule"), ("unschedulable", "NoSchedule"))


def tolerating(spec: Object) -> Object:
    """The Pod spec with the tolerations that every DaemonSet's Pods have."""
    names = [*TOLERATED, *([("network-unavailable", "NoSchedule")] if spec.get("hostNetwork") else [])]
    own = list(spec.get("tolerations") or ())
    extra = [{"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": effect} for name, effect in names]
    return spec | {"tolerations": own + [toleration for toleration in extra if toleration not in own]}


def _hash(pod: Object) -> str:
    return (pod["metadata"].get("labels") or {}).get(history.POD_LABEL, "")
