"""The built-in kinds of Kubernetes 1.36, as data: one file per API group.

    BUILTIN   every `Kind` of the groups below, in the order in which discovery shows the groups

The order matters to kubectl: `kubectl get events` means the first group that has a resource of this
name, so the core group leads and metrics.k8s.io (with its own "pods" and "nodes") comes last.

What is declared here is what discovery and routing need: names, verbs, subresources, selectable
fields, and the rules by which writes differ between kinds.  What an object looks like is in
`objects.schema`; what it does is in `api.strategies`; how it is shown is in `api.columns`.

Source: pkg/registry/*/rest/storage_*.go, pkg/controlplane/instance.go, kube-apiserver's aggregator
(cmd/kube-apiserver/app: APIVersionPriorities).
"""

from __future__ import annotations

from kitlib.api.kind import Kind
from kitlib.api.kinds import (
    admissionregistration,
    apiextensions,
    apiregistration,
    apps,
    authentication,
    authorization,
    autoscaling,
    batch,
    certificates,
    coordination,
    core,
    discovery,
    events,
    flowcontrol,
    metrics,
    networking,
    node,
    policy,
    rbac,
    scheduling,
    storage,
)

_GROUPS = (core, apiregistration, apps, events, authentication, authorization, autoscaling, batch, certificates,
           networking, policy, rbac, storage, admissionregistration, apiextensions, scheduling, coordination, node,
           discovery, flowcontrol, metrics)

BUILTIN: tuple[Kind, ...] = tuple(kind for group in _GROUPS for kind in group.KINDS)
GROUP_ORDER: tuple[str, ...] = tuple(dict.fromkeys(kind.group for kind in BUILTIN))
