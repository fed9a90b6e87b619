"""Would this node take a Pod of this DaemonSet?  The scheduler's rules, without its arithmetic.

    run    name, affinity and taints agree: there should be a Pod
    stay   a Pod that is there already may stay (a NoSchedule taint that came later does not drive it out)

Source: k8s.io/kubernetes/pkg/controller/daemon/daemon_controller.go (NodeShouldRunDaemonPod).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kitlib.controllers.tainteviction import tolerates
from kitlib.objects.selectors import LabelSelector, Requirement

Object = dict[str, Any]

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": "gt", "Lt": "lt"}


class Fit(NamedTuple):
    run: bool
    stay: bool


def fits(spec: Object, node: Object) -> Fit:
    """spec: the Pod's, with all its tolerations."""
    name = node["metadata"]["name"]
    if spec.get("nodeName") not in (None, "", name) or not _affine(spec, node):
        return Fit(False, False)
    taints = (node.get("spec") or {}).get("taints") or ()
    bad = {t["effect"] for t in taints if t["effect"] in ("NoSchedule", "NoExecute")
           and not any(tolerates(toleration, t) for toleration in spec.get("tolerations") or ())}
    return Fit(not bad, "NoExecute" not in bad)


def relevant(node: Object) -> tuple:
    """What of a node decides about it."""
    return node["metadata"].get("labels"), (node.get("spec") or {}).get("taints")


def pinned(spec: Object, node: str) -> Object:
    """The spec with a required affinity for exactly this node, in place of the name terms it may have."""
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = spec.get("affinity") or {}
    node_affinity = affinity.get("nodeAffinity") or {}
    terms = (node_affinity.get(REQUIRED) or {}).get("nodeSelectorTerms") or [{}]
    required = {"nodeSelectorTerms": [given | term for given in terms]}
    return spec | {"affinity": affinity | {"nodeAffinity": node_affinity | {REQUIRED: required}}}


def target(pod: Object) -> str:
    """The node the Pod is on, or is pinned to."""
    spec = pod["spec"]
    if spec.get("nodeName"):
        return spec["nodeName"]
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED) or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == "metadata.name" and field["operator"] == "In" and len(field["values"]) == 1:
                return field["values"][0]
    return ""


def _affine(spec: Object, node: Object) -> bool:
    labels = node["metadata"].get("labels") or {}
    if spec.get("nodeSelector") and not LabelSelector.of_labels(spec["nodeSelector"]).matches(labels):
        return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED)
    if required is None:
        return True
    fields = {"metadata.name": node["metadata"]["name"]}
    return any(_matches(term, labels, fields) for term in required.get("nodeSelectorTerms") or ())


def _matches(term: Mapping[str, Any], labels: Mapping[str, str], fields: Mapping[str, str]) -> bool:
    expressions, names = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not names:
        return False
    return (all(_requirement(e).matches(labels) for e in expressions)
            and all(_requirement(f).matches(fields) for f in names))


def _requirement(expression: Mapping[str, Any]) -> Requirement:
    return Requirement(expression["key"], OPERATORS[expression["operator"]], tuple(expression.get("values") or ()))
