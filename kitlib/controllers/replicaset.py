"""ReplicaSet: keep this many Pods that look like this.

    observe   the ReplicaSet, the Pods it owns, and the ownerless ones that match its selector
    diff      too few: create;  too many: delete, the least useful first;  ownerless: adopt;  mislabelled: let go
    act       in batches of 1, 2, 4, 8… while all goes well

That is all.  It does not know Deployments, nodes or containers; it never waits for a Pod to start.  It counts, and
whatever the reason for a wrong number (a new ReplicaSet, a scale, a deleted Pod, a dead node), the answer is the same.

Who belongs to it is written in the Pod: `ownerReferences` with the ReplicaSet's uid.  Labels decide who *may* belong:
a Pod whose label is taken away is released and lives on alone; a matching Pod that nobody owns is adopted.

Status is computed from what was observed, before the actions.  So a scale shows up in two steps: first
`observedGeneration`, and when the cache has seen the new Pods, `replicas`.

Source: k8s.io/kubernetes/pkg/controller/replicaset (replica_set.go, replica_set_utils.go), controller_ref_manager.go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from kitlib.client.actions import Action, Create, Delete, Emit, Patch, RequeueAfter, UpdateStatus
from kitlib.client.controller import Controller
from kitlib.controllers import pods as pods_
from kitlib.controllers.ownership import adopt_and_release
from kitlib.objects.clock import rfc3339
from kitlib.objects.errors import StatusError
from kitlib.objects.meta import controller_of, is_controlled_by, object_key
from kitlib.objects.selectors import LabelSelector

Object = dict[str, Any]

BURST = 500


@dataclass(frozen=True)
class Observed:
    """pods: owned or ownerless-and-matching, dead or alive.  crowd: Pods of our siblings, counted by node."""

    rs: Object
    pods: list[Object]
    now: float
    crowd: Counter[str] = field(default_factory=Counter)
    trouble: tuple[str, str] | None = None   # reason and message of the last turn's refusal


class ReplicaSet(Controller):
    name = "replicaset"
    resource = "replicasets.apps"
    owns = ("pods",)

    def setup(self) -> None:
        self.watch("pods", self._who_could_adopt)
        self._trouble: dict[str, tuple[str, str]] = {}

    # -- observe ----------------------------------------------------------------------------------------------

    def observe(self, key: str) -> Observed | None:
        rs = self.get(key)
        if rs is None:
            return None
        mine = self.owned("pods", rs)
        selector = self.selector(rs)
        orphans = [pod for pod in self.cache("pods").by_index("orphan", rs["metadata"]["namespace"])
                   if selector.matches(pod["metadata"].get("labels"))]
        return Observed(rs, mine + orphans, self.clock.now(), self._crowd(rs, mine),
                        self._trouble.get(rs["metadata"]["uid"]))

    def selector(self, rs: Object) -> LabelSelector:
        return LabelSelector.of(rs["spec"]["selector"])

    def _crowd(self, rs: Object, mine: Iterable[Object]) -> Counter[str]:
        """Active Pods by node, of this ReplicaSet and of those with the same owner (a Deployment's older ones)."""
        if sum(1 for pod in mine if pods_.is_active(pod)) <= (rs["spec"].get("replicas") or 0):
            return Counter()   # nobody has to go
        owner = controller_of(rs)
        siblings = self.cache(self.resource).by_index("owner", owner["uid"]) if owner else [rs]
        return Counter(pod["spec"].get("nodeName") or "" for sibling in siblings for pod in self.owned("pods", sibling)
                       if pods_.is_active(pod))

    def _who_could_adopt(self, pod: Object) -> list[str]:
        if controller_of(pod) is not None:
            return []
        same_namespace = self.cache(self.resource).by_index("namespace", pod["metadata"]["namespace"])
        return [object_key(rs) for rs in same_namespace if self.selector(rs).matches(pod["metadata"].get("labels"))]

    # -- diff -------------------------------------------------------------------------------------------------

    def diff(self, observed: Observed) -> list[Action]:
        rs, selector = observed.rs, self.selector(observed.rs)
        matching = [pod for pod in observed.pods if selector.matches(pod["metadata"].get("labels"))]
        active = [pod for pod in matching if pods_.is_active(pod)]
        actions: list[Action] = [*adopt_and_release(rs, "pods", observed.pods, matching)]
        if "deletionTimestamp" in rs["metadata"]:
            active = [pod for pod in active if is_controlled_by(pod, rs)]   # who is going adopts nobody
        else:
            actions += self.manage(observed, active)
        status = self.status(observed, active, [pod for pod in matching if pods_.is_terminating(pod)])
        if status != rs.get("status"):
            actions.append(UpdateStatus(self.resource, rs | {"status": status}))
        return actions + next_look(rs, active, observed.now)

    def manage(self, observed: Observed, active: list[Object]) -> list[Action]:
        """The heart: compare a number with a number."""
        rs = observed.rs
        wanted = rs["spec"].get("replicas") or 0
        missing, surplus = wanted - len(active), len(active) - wanted
        if missing > 0:
            pod = pods_.from_template(rs["spec"]["template"], rs)
            return [Create("pods", pod, Emit(rs, "SuccessfulCreate", "Created pod: {name}"),
                           Emit(rs, "FailedCreate", "Error creating: {error}", "Warning"))] * min(missing, BURST)
        if surplus > 0:
            victims = pods_.deletion_order(active, observed.crowd, observed.now)[:min(surplus, BURST)]
            return [self._delete(rs, pod) for pod in victims]
        return []

    def _delete(self, rs: Object, pod: Object) -> Delete:
        meta = pod["metadata"]
        return Delete("pods", meta["namespace"], meta["name"], uid=meta["uid"],
                      then=Emit(rs, "SuccessfulDelete", f"Deleted pod: {meta['name']}"),
                      failed=Emit(rs, "FailedDelete", "Error deleting: {error}", "Warning"))

    def status(self, observed: Observed, active: list[Object], terminating: list[Object]) -> Object:
        """What `kubectl get rs` shows.  Counts of zero are left out, as Go's omitempty does."""
        rs = observed.rs
        labels = (rs["spec"]["template"].get("metadata") or {}).get("labels") or {}
        patience = rs["spec"].get("minReadySeconds") or 0
        ready_in = [pods_.available_in(pod, patience, observed.now) for pod in active]
        counts = {
            "fullyLabeledReplicas": sum(labels.items() <= pod["metadata"].get("labels", {}).items() for pod in active),
            "readyReplicas": sum(seconds is not None for seconds in ready_in),
            "availableReplicas": sum(seconds == 0 for seconds in ready_in),
        }
        status: Object = {"replicas": len(active)} | {name: count for name, count in counts.items() if count}
        status |= {"terminatingReplicas": len(terminating), "observedGeneration": rs["metadata"].get("generation", 1)}
        conditions = self._conditions(observed)
        return status | ({"conditions": conditions} if conditions else {})

    def _conditions(self, observed: Observed) -> list[Object]:
        """ReplicaFailure while Pods are refused (quota, admission, a bad template); gone when they are not."""
        known = (observed.rs.get("status") or {}).get("conditions") or []
        others = [c for c in known if c["type"] != "ReplicaFailure"]
        if observed.trouble is None:
            return others
        if len(others) < len(known):
            return known   # set already: it keeps its first time and message
        reason, message = observed.trouble
        return [*others, {"type": "ReplicaFailure", "status": "True", "reason": reason, "message": message,
                          "lastTransitionTime": rfc3339(observed.now)}]

    # -- act --------------------------------------------------------------------------------------------------

    def act(self, actions: Sequence[Action]) -> None:
        """Slow start: creates go in batches of 1, 2, 4…  If the first Pod is refused, so would be the thousandth."""
        counted = [action for action in actions if isinstance(action, (Create, Delete))]
        refusal: StatusError | None = None
        for action in actions:
            if isinstance(action, Patch):
                self.perform(action)
        for batch in slow_start(counted):
            for action in batch:
                try:
                    self.perform(action)
                except StatusError as error:
                    refusal = refusal or error
                self._remember(action, refusal)
            if refusal is not None:
                break
        for action in actions:
            if isinstance(action, UpdateStatus):
                self.perform(action)
        if refusal is not None:
            raise refusal

    def _remember(self, action: Create | Delete, refusal: StatusError | None) -> None:
        """A refusal becomes a condition: the next turn's diff puts it into the status."""
        uid = action.failed.about["metadata"]["uid"] if action.failed else ""
        if refusal is None:
            self._trouble.pop(uid, None)
        else:
            reason = "FailedCreate" if isinstance(action, Create) else "FailedDelete"
            self._trouble[uid] = (reason, refusal.message)


def next_look(rs: Object, active: Iterable[Object], now: float) -> list[Action]:
    """With minReadySeconds, a Ready Pod becomes available without any event: look again then."""
    patience = rs["spec"].get("minReadySeconds") or 0
    waits = [seconds for pod in active if (seconds := pods_.available_in(pod, patience, now))] if patience else []
    return [RequeueAfter(min(waits))] if waits else []


def slow_start(actions: Sequence[Create | Delete]) -> Iterator[Sequence[Create | Delete]]:
    """[1, 2, 3, 4, 5, 6, 7, 8] → [1], [2, 3], [4, 5, 6, 7], [8]; deletes go all at once."""
    start, size = 0, 1 if actions and isinstance(actions[0], Create) else len(actions)
    while start < len(actions):
        yield actions[start:start + size]
        start, size = start + size, 2 * size
