"""Figures for slides: the live figures' own drawing code, fed with a small, exact story.

The story is the talk's: a client registers ReplicaSet sample-rs with three replicas (pages 106 to 113).
`!figure flow N` tells it up to step N.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kitlib.trace.flow import Flow, build
from kitlib.trace.record import Record
from kitlib.views import (
    deck_build,
    deck_containers,
    deck_declarative,
    deck_ingress,
    deck_layers,
    deck_load,
    deck_policy,
    deck_services,
    deck_storage,
    flow_svg,
    pod_stories,
)

NODES = ("nodeA", "nodeB", "nodeC")


def _record(revision: int, at: float, actor: str, name: str, uid: str, **rest: Any) -> Record:
    changes = rest.pop("changes")
    resource = "replicasets.apps" if uid == "rs" else "pods"
    return Record(revision, at, actor, rest.pop("verb", "update"), resource, "default", name, uid,
                  "" if uid == "rs" else "rs", rest.pop("subresource", "status"), rest.pop("cause", 0), changes)


def story() -> Flow:
    """What happens to `kubectl apply -f sample-rs.yaml`, with revisions and times as on a quick cluster."""
    pods = [(f"sample-rs-{suffix}", f"pod{i}") for i, suffix in enumerate(("x7k2p", "bq4zn", "m9wtd"))]
    manager = "kube-controller-manager/replicaset"
    records = [_record(41, 0.0, "kubectl", "sample-rs", "rs", verb="create", subresource="",
                       changes={"wanted": [None, 3]})]
    for i, (name, uid) in enumerate(pods):
        records.append(_record(42 + i, 0.004, manager, name, uid, verb="create", subresource="", cause=41,
                               changes={"phase": [None, "Pending"]}))
        records.append(_record(45 + i, 0.006, "kube-scheduler", name, uid, verb="create", subresource="binding",
                               cause=42 + i, changes={"node": [None, NODES[i]]}))
        records.append(_record(48 + i, 0.090, f"kubelet/{NODES[i]}", name, uid, cause=45 + i,
                               changes={"phase": ["Pending", "Running"], "running": [None, 1]}))
    records.append(_record(51, 0.093, manager, "sample-rs", "rs", cause=50, changes={"ready": [None, 3]}))
    return build(records, "rs/sample-rs", "default")


def flow(until: str = "99") -> str:
    """The talk's figure up to a step; in words only the newest step, or all when the story is whole."""
    whole = story()
    number = int(until)
    shown = whole.until(number)
    revision = max((r for step in shown.steps for r in step.revisions), default=0)
    objects = {}
    for title, state in whole.objects.items():  # only what exists by then, and what is known of it by then
        made = min((r for s in whole.steps for r, n in zip(s.revisions, s.objects, strict=False)
                    if title.endswith("/" + n)), default=0)
        if made and made <= revision:
            objects[title] = {**state, "revision": made} if number < len(whole.steps) else state
            if not any(s.act == "bind" for s in shown.steps):
                objects[title].pop("node", None)
            if title.startswith("Pod/") and not any(s.act == "running" for s in shown.steps):
                objects[title]["phase"] = "Pending"
    told = len(whole.steps) if number >= len(whole.steps) else 1
    return flow_svg.render(Flow(shown.target, shown.steps, objects), told)


FIGURES: dict[str, Callable[..., str]] = {"flow": flow, "life": pod_stories.life, "pod": pod_stories.pod,
                                        "build": deck_build.build,
                                        "merge": deck_declarative.menu, "owners": deck_declarative.board,
                                        "reach": deck_storage.heard, "storage": deck_storage.claims,
                                        "passage": deck_ingress.passage,
                                        "namespaces": deck_containers.namespaces,
                                        "inits": deck_containers.inits,
                                        "layers": deck_layers.layers, "shared": deck_layers.shared,
                                        "cache": deck_layers.cache,
                                        "policy": deck_policy.policy,
                                        "service": deck_services.service,
                                        "rollout": deck_load.rollout, "ending": deck_load.ending}
