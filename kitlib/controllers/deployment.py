"""Deployment: from one version of an application to the next, without an outage.

A Deployment owns no Pods.  It owns ReplicaSets, one per version of its Pod template, and its whole art is to choose
how large each of them should be:

    template unchanged           one ReplicaSet has all replicas
    template changed             a new ReplicaSet; the new one up, the old ones down, step by step (`rollout.py`)
    changed back                 the old version's ReplicaSet still exists, with 0 Pods: it is the "new" one again

Each turn takes one step and stops.  The ReplicaSets' statuses change when their Pods do; that wakes the Deployment,
and the next turn takes the next step.  So a rollout needs no memory: everything it must know is in the objects, and
a controller that dies in the middle goes on where the cluster is.

Old ReplicaSets are the history: `deployment.kubernetes.io/revision` numbers them, `revisionHistoryLimit` bounds them,
and `kubectl rollout undo` copies an old one's template back.

Source: k8s.io/kubernetes/pkg/controller/deployment (deployment_controller.go, sync.go, rolling.go, recreate.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kitlib.client.actions import Action, Create, Delete, Emit, RequeueAfter, Update, UpdateStatus
from kitlib.client.controller import Controller
from kitlib.controllers import deployment_status as status_
from kitlib.controllers import revisions, rollout
from kitlib.controllers.ownership import adopt_and_release
from kitlib.controllers.pods import condition, is_finished
from kitlib.objects.errors import StatusError
from kitlib.objects.meta import controller_of, is_controlled_by, object_key
from kitlib.objects.selectors import LabelSelector

Object = dict[str, Any]
REPLICASETS = "replicasets.apps"


@dataclass(frozen=True)
class Observed:
    """replica_sets: owned, or ownerless and matching.  pods: of all of them; only a Recreate needs them."""

    deployment: Object
    replica_sets: list[Object]
    pods: list[Object]
    now: float


class Deployment(Controller):
    name = "deployment"
    resource = "deployments.apps"
    owns = (REPLICASETS,)
    reads = ("pods",)

    def setup(self) -> None:
        self.watch(REPLICASETS, self._who_could_adopt)
        self.cache("pods").add_handler(self._pod_gone)

    # -- observe ----------------------------------------------------------------------------------------------

    def observe(self, key: str) -> Observed | None:
        deployment = self.get(key)
        if deployment is None:
            return None
        selector = LabelSelector.of(deployment["spec"]["selector"])
        mine = self.owned(REPLICASETS, deployment)
        orphans = [rs for rs in self.cache(REPLICASETS).by_index("orphan", deployment["metadata"]["namespace"])
                   if selector.matches(rs["metadata"].get("labels"))]
        pods = [] if rollout.is_rolling(deployment) else [pod for rs in mine for pod in self.owned("pods", rs)]
        return Observed(deployment, mine + orphans, pods, self.clock.now())

    def _who_could_adopt(self, rs: Object) -> list[str]:
        if controller_of(rs) is not None:
            return []
        candidates = self.cache(self.resource).by_index("namespace", rs["metadata"]["namespace"])
        return [object_key(d) for d in candidates
                if LabelSelector.of(d["spec"]["selector"]).matches(rs["metadata"].get("labels"))]

    def _pod_gone(self, kind: str, old: Object | None, new: Object | None) -> None:
        """A Recreate waits for the last old Pod to be gone."""
        owner = controller_of(old) if kind == "DELETED" and old else None
        if old is None or owner is None or owner["kind"] != "ReplicaSet":
            return
        namespace = old["metadata"]["namespace"]
        rs = self.cache(REPLICASETS).get(f"{namespace}/{owner['name']}")
        for key in self._owner_keys(rs) if rs else ():
            deployment = self.get(key)
            if deployment is not None and not rollout.is_rolling(deployment):
                self._wake(key, kind, "pods", old)

    # -- diff -------------------------------------------------------------------------------------------------

    def diff(self, observed: Observed) -> list[Action]:
        deployment = observed.deployment
        selector = LabelSelector.of(deployment["spec"]["selector"])
        matching = [rs for rs in observed.replica_sets if selector.matches(rs["metadata"].get("labels"))]
        adoptions = list(adopt_and_release(deployment, REPLICASETS, observed.replica_sets, matching))
        if adoptions:
            return [*adoptions]   # the cache will show them as ours, and wake us
        mine = [rs for rs in matching if is_controlled_by(rs, deployment)]
        turn = Turn(observed, mine)
        if "deletionTimestamp" in deployment["metadata"]:
            return turn.plain_status()
        actions = turn.note_pause() or turn.note_revision() or turn.scale_if_resized()
        if not actions and deployment["spec"].get("paused"):
            return turn.paused()
        return actions or (turn.rolling() if rollout.is_rolling(deployment) else turn.recreate()) or turn.progress()

    # -- act --------------------------------------------------------------------------------------------------

    def act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            try:
                self.perform(action)
            except StatusError as error:
                if not (isinstance(action, Create) and error.reason == "AlreadyExists"):
                    raise
                self._collision(action)
                return

    def _collision(self, action: Create) -> None:
        """The name is taken.  By our own ReplicaSet: the cache is behind.  By another: count up, hash anew."""
        namespace, name = action.obj["metadata"]["namespace"], action.obj["metadata"]["name"]
        owner = controller_of(action.obj) or {}
        existing = self.client.get(REPLICASETS, namespace, name)
        if (controller_of(existing) or {}).get("uid") == owner.get("uid") and revisions.same_template(
                existing["spec"]["template"], action.obj["spec"]["template"]):
            return
        deployment = self.client.get(self.resource, namespace, owner["name"])
        status = deployment.get("status") or {}
        counted = status | {"collisionCount": status.get("collisionCount", 0) + 1}
        self.client.update_status(self.resource, namespace, deployment | {"status": counted})


class Turn:
    """One turn of diff.  Each method is a possible step: the actions it takes, or [] if it is not its turn."""

    def __init__(self, observed: Observed, mine: Sequence[Object]) -> None:
        self.deployment, self.pods, self.now = observed.deployment, observed.pods, observed.now
        self.new = revisions.find_new(self.deployment, mine)
        self.old = [rs for rs in sorted(mine, key=rollout.age) if rs is not self.new]
        self.all = [*self.old, *([self.new] if self.new else [])]

    # the steps, in the order in which they are tried

    def note_pause(self) -> list[Action]:
        """Paused and resumed are conditions, so that the pause does not count against the deadline."""
        current = condition(self.deployment, "Progressing")
        if not status_.has_deadline(self.deployment) or (current and current["reason"] == "ProgressDeadlineExceeded"):
            return []
        known = bool(current and current["reason"] == "DeploymentPaused")
        if bool(self.deployment["spec"].get("paused")) == known:
            return []
        reason, text = ("DeploymentResumed", "resumed") if known else ("DeploymentPaused", "paused")
        fresh = status_.new_condition("Progressing", "Unknown", reason, f"Deployment is {text}", self.now)
        return [self._status(status_.set_condition(self.deployment.get("status") or {}, fresh))]

    def note_revision(self) -> list[Action]:
        """The new ReplicaSet has the highest revision, and the Deployment says which that is."""
        if self.new is None:
            return []
        updated = revisions.updated(self.deployment, self.new, self.old)
        if updated != self.new:
            return [Update(REPLICASETS, updated)]
        found = None
        if status_.has_deadline(self.deployment) and condition(self.deployment, "Progressing") is None:
            found = ("FoundNewReplicaSet", f'Found new replica set "{self.new["metadata"]["name"]}"')
        return self._note(revisions.revision_text(self.new), found)

    def scale_if_resized(self) -> list[Action]:
        """`kubectl scale` in the middle of a rollout: share out the difference, then go on rolling."""
        resized = any(rollout.annotation(rs, rollout.DESIRED) not in (None, rollout.replicas(self.deployment))
                      for rs in self.all if rollout.replicas(rs))
        return (self._scale() or self.plain_status()) if resized else []

    def paused(self) -> list[Action]:
        """Scaling works, the clean-up works, a rollout does not."""
        return [*self._scale(), *self._clean_up(), *self.plain_status()]

    def rolling(self) -> list[Action]:
        if self.new is None:
            return self._create_new()
        return self._grow_new(self.new) or self._shrink_old(self.new)

    def recreate(self) -> list[Action]:
        """First everything old goes, and is gone; then the new one comes."""
        shrink = [action for rs in self.old for action in self._resize(rs, 0)]
        if shrink:
            return shrink
        if self._old_pods_run():
            return []
        return self._create_new() if self.new is None else self._grow_new(self.new)

    def progress(self) -> list[Action]:
        """Nothing to move: say how far it is, tidy up behind it, and watch the deadline."""
        status = status_.calculate(self.deployment, self.all, self.new, self.now)
        status = status_.with_progress(self.deployment, status, self.all, self.new, self.now)
        done = status_.is_complete(self.deployment, self.deployment.get("status") or {})
        actions: list[Action] = self._clean_up() if done else []
        if status != self.deployment.get("status"):
            return [*actions, self._status(status)]
        current = condition(self.deployment, "Progressing")
        if current and status_.has_deadline(self.deployment) and not status_.is_complete(self.deployment, status) \
                and current["reason"] not in ("ProgressDeadlineExceeded", "NewReplicaSetAvailable"):
            left = status_.seconds_left(self.deployment, current, self.now)
            actions.append(RequeueAfter(max(left, 0.0) + 1))
        return actions

    def plain_status(self) -> list[Action]:
        status = status_.calculate(self.deployment, self.all, self.new, self.now)
        return [self._status(status)] if status != self.deployment.get("status") else []

    # what they are made of

    def _create_new(self) -> list[Action]:
        fresh = revisions.new_replica_set(self.deployment, self.old)
        size = rollout.new_size(self.deployment, [*self.all, fresh], 0)
        fresh["spec"]["replicas"] = size
        set_name = fresh["metadata"]["name"]
        scaled = Emit(self.deployment, "ScalingReplicaSet", f"Scaled up replica set {set_name} from 0 to {size}")
        failed = Emit(self.deployment, "ReplicaSetCreateError",
                      f'Failed to create new replica set "{set_name}": {{error}}', "Warning")
        create = Create(REPLICASETS, fresh, then=scaled if size else None, failed=failed)
        created = None
        if status_.has_deadline(self.deployment) and not self._just_resumed():
            created = ("NewReplicaSetCreated", f'Created new replica set "{set_name}"')
        return [create, *self._note(revisions.revision_text(fresh), created)]

    def _just_resumed(self) -> bool:
        """Then the reason stays DeploymentResumed until Pods move (the real one's write conflicts with its own)."""
        current = condition(self.deployment, "Progressing")
        return bool(current and current["reason"] == "DeploymentResumed")

    def _grow_new(self, new: Object) -> list[Action]:
        wanted, current = rollout.replicas(self.deployment), rollout.replicas(new)
        if current > wanted:
            return self._resize(new, wanted)
        size = rollout.new_size(self.deployment, self.all, current)
        return self._resize(new, size) if size != current else []

    def _shrink_old(self, new: Object) -> list[Action]:
        active = [rs for rs in self.old if rollout.replicas(rs)]
        sizes = rollout.old_sizes(self.deployment, new, active) if active else {}
        return [action for rs in active if rs["metadata"]["name"] in sizes
                for action in self._resize(rs, sizes[rs["metadata"]["name"]])]

    def _scale(self) -> list[Action]:
        wanted = rollout.replicas(self.deployment)
        active = [rs for rs in self.all if rollout.replicas(rs)]
        if len(active) <= 1:
            latest = active[0] if active else self.new or (self.old[-1] if self.old else None)
            return self._resize(latest, wanted) if latest else []
        if self.new and self._is_saturated(self.new):
            return [action for rs in active if rs is not self.new for action in self._resize(rs, 0)]
        if not rollout.is_rolling(self.deployment):
            return []
        sizes = rollout.proportional_sizes(self.deployment, active)
        return [action for rs in active for action in self._resize(rs, sizes[rs["metadata"]["name"]])]

    def _is_saturated(self, rs: Object) -> bool:
        wanted = rollout.replicas(self.deployment)
        return wanted == rollout.annotation(rs, rollout.DESIRED) == rollout.replicas(rs) == rollout.available(rs)

    def _resize(self, rs: Object, size: int) -> list[Action]:
        """Set a ReplicaSet's size, and the annotations that remember the Deployment's."""
        before = rollout.replicas(rs)
        noted = revisions.with_sizes(self.deployment, rs)
        if size == before and noted is rs:
            return []
        scaled = None
        if size != before:
            direction = "up" if size > before else "down"
            scaled = Emit(self.deployment, "ScalingReplicaSet",
                          f"Scaled {direction} replica set {rs['metadata']['name']} from {before} to {size}")
        return [Update(REPLICASETS, noted | {"spec": rs["spec"] | {"replicas": size}}, then=scaled)]

    def _clean_up(self) -> list[Action]:
        """Forget the oldest versions beyond revisionHistoryLimit; never one that still has Pods."""
        return [Delete(REPLICASETS, rs["metadata"]["namespace"], rs["metadata"]["name"], uid=rs["metadata"]["uid"])
                for rs in revisions.beyond_limit(self.deployment, self.old)]

    def _old_pods_run(self) -> bool:
        if any((rs.get("status") or {}).get("replicas") for rs in self.old):
            return True
        return any(not is_finished(pod) for pod in self._old_pods())

    def _old_pods(self) -> Iterable[Object]:
        return (pod for pod in self.pods if self.new is None or not is_controlled_by(pod, self.new))

    def _note(self, revision: str, progress: tuple[str, str] | None) -> list[Action]:
        """Write the revision (an annotation) and a reason for Progressing, if either is news."""
        status = self.deployment.get("status") or {}
        if progress:
            status = status_.set_condition(status, status_.new_condition("Progressing", "True", *progress, self.now))
        noted = revisions.with_revision(self.deployment, revision)
        if noted is self.deployment and status == (self.deployment.get("status") or {}):
            return []
        return [UpdateStatus(Deployment.resource, noted | {"status": status})]

    def _status(self, status: Object) -> UpdateStatus:
        return UpdateStatus(Deployment.resource, self.deployment | {"status": status})
