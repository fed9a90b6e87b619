"""Preemption: if a Pod fits nowhere, look for a node where it would fit without some less important ones.

For each node that could help: take away every Pod of lower priority; if the Pod then fits, give back as many as
possible, the most important first, and those whose PodDisruptionBudget would be broken before all others.  Who cannot
be given back is a victim.  Of several nodes the best is the one with

    1. the fewest broken disruption budgets          4. the fewest victims
    2. the least important most important victim     5. the victims that started last
    3. the smallest sum of the victims' priorities

The victims are asked to leave (they get their grace period); the Pod is *nominated* for the node and scheduled there
as soon as there is room.

Source: k8s.io/kubernetes/pkg/scheduler/framework/preemption, plugins/defaultpreemption.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kitlib.objects.clock import parse_time
from kitlib.objects.selectors import LabelSelector
from kitlib.scheduler.decision import Decision, no_nodes
from kitlib.scheduler.framework import Framework
from kitlib.scheduler.nodeinfo import NodeInfo
from kitlib.scheduler.podinfo import PodInfo

Object = dict[str, Any]

NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"
CANDIDATES_ENOUGH = 100


@dataclass(frozen=True)
class Candidate:
    node: NodeInfo
    victims: list[PodInfo]
    violations: int


@dataclass(frozen=True)
class Outcome:
    """node "": nobody was preempted, and `message` says why."""

    message: str
    node: str = ""
    victims: tuple[PodInfo, ...] = ()


def preempt(framework: Framework, pod: PodInfo, nodes: Sequence[NodeInfo], decision: Decision,
            budgets: Sequence[Object]) -> Outcome:
    """Who has to go so that the Pod can come."""
    reason = _not_eligible(pod, nodes)
    if reason:
        return Outcome(f"preemption: {reason}.")
    candidates, verdicts = [], []
    for node in nodes:
        refusal = decision.refused.get(node.name)
        if refusal is None or refusal.unresolvable:
            verdicts.append(NOT_HELPFUL)
            continue
        candidate = _candidate(framework, pod, node, nodes, budgets)
        if isinstance(candidate, Candidate):
            candidates.append(candidate)
            if len(candidates) >= CANDIDATES_ENOUGH:
                break
        else:
            verdicts.append(candidate)
    if not candidates:
        return Outcome(f"preemption: {no_nodes(len(nodes), verdicts)}")
    best = min(candidates, key=_cost)
    return Outcome("", best.node.name, tuple(best.victims))


def _not_eligible(pod: PodInfo, nodes: Sequence[NodeInfo]) -> str:
    if pod.spec.get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never"
    nominated = (pod.pod.get("status") or {}).get("nominatedNodeName")
    for node in nodes:
        if node.name == nominated and any(p.terminating and p.priority < pod.priority for p in node.pods.values()):
            return "not eligible due to a terminating pod on the nominated node"
    return ""


def _candidate(framework: Framework, pod: PodInfo, node: NodeInfo, nodes: Sequence[NodeInfo],
               budgets: Sequence[Object]) -> Candidate | str:
    lower = [p for p in node.pods.values() if p.priority < pod.priority]
    if not lower:
        return NO_VICTIMS
    away = {p.key for p in lower}
    if not framework.fits(pod, node.with_pods([], away), nodes):
        return _why(framework, pod, node.with_pods([], away), nodes)
    violating, others = _by_budget(sorted(lower, key=_importance), budgets)
    victims, violations = [], 0
    for candidate in [*violating, *others]:
        if framework.fits(pod, node.with_pods([], away - {candidate.key}), nodes):
            away.remove(candidate.key)
        else:
            victims.append(candidate)
            violations += candidate in violating
    return Candidate(node, victims, violations)


def _why(framework: Framework, pod: PodInfo, node: NodeInfo, nodes: Sequence[NodeInfo]) -> str:
    """The reason that stays even when the less important ones are gone."""
    decision = Decision(pod.key, 1)
    instead = [node if other.name == node.name else other for other in nodes]
    framework.find_feasible({}, pod, instead, decision, {})
    refusal = decision.refused.get(node.name)
    return refusal.reasons[0] if refusal else NO_VICTIMS


def _importance(pod: PodInfo) -> tuple[int, float]:
    """Sort key: the most important first; among equals who has been running longest."""
    return -pod.priority, _started(pod)


def _started(pod: PodInfo) -> float:
    status = pod.pod.get("status") or {}
    return parse_time(status["startTime"]) if status.get("startTime") else float("inf")


def _by_budget(pods: Sequence[PodInfo], budgets: Sequence[Object]) -> tuple[list[PodInfo], list[PodInfo]]:
    """(those whose going would break a disruption budget, the others)."""
    left = {id(b): (b.get("status") or {}).get("disruptionsAllowed") or 0 for b in budgets}
    violating: list[PodInfo] = []
    others: list[PodInfo] = []
    for pod in pods:
        covering = [b for b in budgets if b["metadata"]["namespace"] == pod.namespace and _covers(b, pod)]
        for budget in covering:
            left[id(budget)] -= 1
        (violating if any(left[id(b)] < 0 for b in covering) else others).append(pod)
    return violating, others


def _covers(budget: Mapping[str, Any], pod: PodInfo) -> bool:
    return LabelSelector.of(budget["spec"].get("selector")).matches(pod.labels)


def _cost(candidate: Candidate) -> tuple:
    victims = candidate.victims
    highest = max((victim.priority for victim in victims), default=-2**31)
    earliest = min((_started(v) for v in victims if v.priority == highest), default=0.0)
    return (candidate.violations, highest, sum(v.priority + 2**31 for v in victims), len(victims), -earliest)
