"""StatefulSet: Pods with names that stay: db-0, db-1, db-2.

A name is an identity: a host name, a DNS name (with the headless Service), and claims for storage that are found again
when the Pod of that name comes back, on whatever node.  So there are never two Pods of one name, and a Pod that is
going away is waited for.

    up      0, 1, 2…        each one only when all before it are Running and Ready
    down    …, 2, 1, 0      each one only when the one above it is gone
    update  from the highest ordinal down to `partition`, one at a time, waiting for each to be Ready

`podManagementPolicy: Parallel` gives up the waiting on the way up and down.  Each turn looks at the Pods in order and
stops at the first thing to do or to wait for: that is all the ordering there is.

Source: k8s.io/kubernetes/pkg/controller/statefulset (stateful_set_control.go, stateful_set_utils.go).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kitlib.client.actions import Action, Create, Delete, Emit, RequeueAfter, UpdateStatus
from kitlib.client.controller import Controller
from kitlib.controllers import history
from kitlib.controllers import pods as pods_
from kitlib.controllers.template_hash import revision_hash
from kitlib.objects.meta import clone

Object = dict[str, Any]

CLAIMS = "persistentvolumeclaims"
POD_NAME, POD_INDEX = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"


@dataclass(frozen=True)
class Observed:
    """claims: names of the PersistentVolumeClaims that exist in the namespace."""

    sts: Object
    pods: list[Object]
    revisions: list[Object]
    claims: frozenset[str]
    now: float


class StatefulSet(Controller):
    name = "statefulset"
    resource = "statefulsets.apps"
    owns = ("pods", history.REVISIONS)
    reads = (CLAIMS,)

    def observe(self, key: str) -> Observed | None:
        sts = self.get(key)
        if sts is None:
            return None
        claims: frozenset[str] = frozenset()
        if sts["spec"].get("volumeClaimTemplates"):
            found = self.cache(CLAIMS).by_index("namespace", sts["metadata"]["namespace"])
            claims = frozenset(claim["metadata"]["name"] for claim in found)
        return Observed(sts, self.owned("pods", sts), self.owned(history.REVISIONS, sts), claims, self.clock.now())

    def diff(self, observed: Observed) -> list[Action]:
        return Turn(observed).actions()


class Turn:
    """One turn of diff."""

    def __init__(self, observed: Observed) -> None:
        self.sts, self.spec, self.now = observed.sts, observed.sts["spec"], observed.now
        self.claims, self.revisions = observed.claims, observed.revisions
        self.known: Object = self.sts.get("status") or {}
        self.start = (self.spec.get("ordinals") or {}).get("start") or 0
        self.wanted = self.spec["replicas"] if self.spec.get("replicas") is not None else 1
        self.in_order = self.spec.get("podManagementPolicy") != "Parallel"
        self.patience = self.spec.get("minReadySeconds") or 0
        self.by_ordinal = {number: pod for pod in observed.pods if (number := self.ordinal(pod)) is not None}
        self.update, self.make_update = history.find_or_make(
            self.sts, observed.revisions, lambda data: revision_hash(data, self.known.get("collisionCount") or 0))
        by_name = {r["metadata"]["name"]: r for r in observed.revisions}
        self.current = by_name.get(self.known.get("currentRevision", ""), self.update)

    def ordinal(self, pod: Object) -> int | None:
        base, _, number = pod["metadata"]["name"].rpartition("-")
        return int(number) if base == self.sts["metadata"]["name"] and number.isdigit() else None

    def actions(self) -> list[Action]:
        steps: list[Action] = []
        if "deletionTimestamp" not in self.sts["metadata"]:
            steps, blocked = self._grow()
            if not blocked:
                down, blocked = self._shrink()
                steps += down
            if not blocked and (self.spec.get("updateStrategy") or {}).get("type") != "OnDelete":
                steps += self._roll()
        status = self._status()
        actions = [*self.make_update, *steps]
        if status != self.known:
            actions.append(UpdateStatus(StatefulSet.resource, self.sts | {"status": status}))
        live = {self.update["metadata"]["name"], self.current["metadata"]["name"],
                *((p["metadata"].get("labels") or {}).get(history.POD_LABEL, "") for p in self.by_ordinal.values())}
        actions += history.surplus(self.revisions, live, self.spec.get("revisionHistoryLimit"))
        return actions + self._later()

    # -- the steps, each with "stop here" ------------------------------------------------------------------------

    def _grow(self) -> tuple[list[Action], bool]:
        """Make what is missing, lowest ordinal first."""
        steps: list[Action] = []
        for number in range(self.start, self.start + self.wanted):
            pod = self.by_ordinal.get(number)
            if pod is None:
                steps += self._create(number)
            elif pods_.is_finished(pod) and "deletionTimestamp" not in pod["metadata"]:
                steps.append(self._delete(pod))   # a new one of that name comes when it is gone
            elif self._is_available(pod) and "deletionTimestamp" not in pod["metadata"]:
                continue
            if self.in_order:
                return steps, True
        return steps, False

    def _shrink(self) -> tuple[list[Action], bool]:
        """Remove what is too much, highest ordinal first."""
        steps: list[Action] = []
        condemned = sorted((n for n in self.by_ordinal if not self._is_wanted(n)), reverse=True)
        unhealthy = [n for n in sorted(self.by_ordinal) if not self._is_healthy(self.by_ordinal[n])]
        for number in condemned:
            pod = self.by_ordinal[number]
            if "deletionTimestamp" not in pod["metadata"]:
                if self.in_order and not self._is_available(pod) and number != unhealthy[0]:
                    return steps, True   # one before it is in trouble as well: that one is looked after first
                steps.append(self._delete(pod))
            if self.in_order:
                return steps, True
        return steps, False

    def _roll(self) -> list[Action]:
        """Replace the highest Pod that is not of the new revision, once all above it are healthy."""
        partition = ((self.spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition") or 0
        for number in range(self.start + self.wanted - 1, self.start + partition - 1, -1):
            pod = self.by_ordinal.get(number)
            if pod is None:
                return []
            if _revision(pod) != self.update["metadata"]["name"] and "deletionTimestamp" not in pod["metadata"]:
                return [self._delete(pod)]
            if not self._is_healthy(pod):
                return []
        return []

    def _is_wanted(self, number: int) -> bool:
        return self.start <= number < self.start + self.wanted

    def _is_available(self, pod: Object) -> bool:
        running = pods_.phase(pod) == "Running"
        return running and pods_.available_in(pod, self.patience, self.now) == 0

    def _is_healthy(self, pod: Object) -> bool:
        return self._is_available(pod) and "deletionTimestamp" not in pod["metadata"]

    # -- Pods -------------------------------------------------------------------------------------------------

    def _create(self, number: int) -> list[Action]:
        meta, name = self.sts["metadata"], f"{self.sts['metadata']['name']}-{number}"
        partition = ((self.spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition") or 0
        revision = self.current if number < self.start + partition else self.update
        made = pods_.from_template(history.template_of(revision), self.sts, name=name, generateName=f"{meta['name']}-")
        labels = (made["metadata"].get("labels") or {}) | {
            POD_NAME: name, POD_INDEX: str(number), history.POD_LABEL: revision["metadata"]["name"]}
        made["metadata"]["labels"] = labels
        made["spec"] = spec = clone(made["spec"])
        spec["hostname"], spec["subdomain"] = name, self.spec.get("serviceName") or ""
        claims = self._claims(spec, name, number)
        created = Emit(self.sts, "SuccessfulCreate", f"create Pod {name} in StatefulSet {meta['name']} successful")
        failed = Emit(self.sts, "FailedCreate",
                      f"create Pod {name} in StatefulSet {meta['name']} failed error: {{error}}", "Warning")
        return [*claims, Create("pods", made, created, failed)]

    def _claims(self, spec: Object, pod: str, number: int) -> list[Action]:
        """The Pod's own storage: a claim per template, found again by its name."""
        actions: list[Action] = []
        meta = self.sts["metadata"]
        for template in self.spec.get("volumeClaimTemplates") or ():
            volume = template["metadata"]["name"]
            claim = f"{volume}-{meta['name']}-{number}"
            others = [v for v in spec.get("volumes") or () if v["name"] != volume]
            spec["volumes"] = [*others, {"name": volume, "persistentVolumeClaim": {"claimName": claim}}]
            if claim in self.claims:
                continue
            labels = (template["metadata"].get("labels") or {}) | (self.spec["selector"].get("matchLabels") or {})
            made = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "spec": template["spec"],
                    "metadata": {"name": claim, "namespace": meta["namespace"], "labels": labels}}
            told = f"create Claim {claim} Pod {pod} in StatefulSet {meta['name']} success"
            actions.append(Create(CLAIMS, made, Emit(self.sts, "SuccessfulCreate", told)))
        return actions

    def _delete(self, pod: Object) -> Delete:
        meta, name = pod["metadata"], self.sts["metadata"]["name"]
        return Delete("pods", meta["namespace"], meta["name"], uid=meta["uid"], then=Emit(
            self.sts, "SuccessfulDelete", f"delete Pod {meta['name']} in StatefulSet {name} successful"))

    # -- status -----------------------------------------------------------------------------------------------

    def _status(self) -> Object:
        pods: Sequence[Object] = list(self.by_ordinal.values())
        staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        running = [pod for pod in pods if pods_.phase(pod) == "Running" and pods_.is_ready(pod)]
        update, current = self.update["metadata"]["name"], self.current["metadata"]["name"]
        counts = {
            "readyReplicas": len(running),
            "currentReplicas": sum(_revision(pod) == current for pod in staying),
            "updatedReplicas": sum(_revision(pod) == update for pod in staying),
        }
        rolling = (self.spec.get("updateStrategy") or {}).get("type") != "OnDelete"
        if rolling and len(pods) == counts["updatedReplicas"] == counts["readyReplicas"] == self.wanted:
            current, counts["currentReplicas"] = update, counts["updatedReplicas"]   # the update is complete
        status: Object = {"observedGeneration": self.sts["metadata"].get("generation", 1), "replicas": len(pods)}
        status |= {name: count for name, count in counts.items() if count}
        return status | {"currentRevision": current, "updateRevision": update,
                         "collisionCount": self.known.get("collisionCount") or 0,
                         "availableReplicas": sum(self._is_available(pod) for pod in pods)}

    def _later(self) -> list[Action]:
        """With minReadySeconds a Ready Pod becomes available without any event."""
        waits = [seconds for pod in self.by_ordinal.values()
                 if (seconds := pods_.available_in(pod, self.patience, self.now))] if self.patience else []
        return [RequeueAfter(min(waits))] if waits else []


def _revision(pod: Object) -> str:
    return (pod["metadata"].get("labels") or {}).get(history.POD_LABEL, "")
