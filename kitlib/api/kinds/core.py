"""The core group, "": what Kubernetes began with.  It lives under /api, all others under /apis.

Source: pkg/registry/core/rest/storage_core.go; AddFieldLabelConversionsFor* in pkg/apis/core/v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kitlib.api.kind import STATUS, Kind, SelectableField, Subresource, scale

CREATE = ("create",)
CONNECT = ("create", "get")
PROXY = ("create", "delete", "get", "patch", "update")


def _source(event: Mapping[str, Any]) -> str:
    return (event.get("source") or {}).get("component") or event.get("reportingComponent") or ""


INVOLVED = tuple(SelectableField(f"involvedObject.{name}") for name in
                 ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"))

KINDS = (
    Kind("", "v1", "Binding", "bindings", verbs=CREATE, virtual=True),
    Kind("", "v1", "ComponentStatus", "componentstatuses", "componentstatus", ("cs",), namespaced=False,
         verbs=("get", "list"), virtual=True),
    Kind("", "v1", "ConfigMap", "configmaps", short_names=("cm",)),
    Kind("", "v1", "Endpoints", "endpoints", "endpoints", ("ep",), create_on_update=True),
    Kind("", "v1", "Event", "events", short_names=("ev",), create_on_update=True, selectable=(
        *INVOLVED, SelectableField("reason"), SelectableField("reportingComponent"), SelectableField("type"),
        SelectableField("source", read=_source))),
    Kind("", "v1", "LimitRange", "limitranges", short_names=("limits",), create_on_update=True),
    # A namespace goes by its finalizer, so there is no deletecollection of them.
    Kind("", "v1", "Namespace", "namespaces", short_names=("ns",), namespaced=False,
         verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
         subresources=(Subresource("finalize", ("update",)), STATUS),
         selectable=(SelectableField("status.phase"), SelectableField("name", "metadata.name"))),
    Kind("", "v1", "Node", "nodes", short_names=("no",), namespaced=False,
         subresources=(Subresource("proxy", PROXY, version="v1", kind="NodeProxyOptions"), STATUS),
         selectable=(SelectableField("spec.unschedulable", default="false"),)),
    Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", short_names=("pvc",), subresources=(STATUS,)),
    Kind("", "v1", "PersistentVolume", "persistentvolumes", short_names=("pv",), namespaced=False,
         subresources=(STATUS,), selectable=(SelectableField("name", "metadata.name"),)),
    Kind("", "v1", "Pod", "pods", short_names=("po",), categories=("all",), generation=True, graceful=True,
         subresources=(
             Subresource("attach", CONNECT, version="v1", kind="PodAttachOptions"),
             Subresource("binding", CREATE, version="v1", kind="Binding"),
             Subresource("ephemeralcontainers"),
             Subresource("eviction", CREATE, "policy", "v1", "Eviction"),
             Subresource("exec", CONNECT, version="v1", kind="PodExecOptions"),
             Subresource("log", ("get",)),
             Subresource("portforward", CONNECT, version="v1", kind="PodPortForwardOptions"),
             Subresource("proxy", PROXY, version="v1", kind="PodProxyOptions"),
             Subresource("resize"),
             STATUS),
         selectable=(
             SelectableField("spec.nodeName"), SelectableField("spec.restartPolicy"),
             SelectableField("spec.schedulerName"), SelectableField("spec.serviceAccountName"),
             SelectableField("spec.hostNetwork", default="false"), SelectableField("status.phase"),
             SelectableField("status.podIP"), SelectableField("status.nominatedNodeName"),
             SelectableField("spec.host", "spec.nodeName"))),
    Kind("", "v1", "PodTemplate", "podtemplates", generation=True),
    Kind("", "v1", "ReplicationController", "replicationcontrollers", short_names=("rc",), categories=("all",),
         generation=True, subresources=(scale(), STATUS), orphan_by_default=True,
         selectable=(SelectableField("status.replicas", default="0"),)),
    Kind("", "v1", "ResourceQuota", "resourcequotas", short_names=("quota",), subresources=(STATUS,)),
    Kind("", "v1", "Secret", "secrets", selectable=(SelectableField("type"),)),
    Kind("", "v1", "ServiceAccount", "serviceaccounts", short_names=("sa",),
         subresources=(Subresource("token", CREATE, "authentication.k8s.io", "v1", "TokenRequest"),)),
    Kind("", "v1", "Service", "services", short_names=("svc",), categories=("all",), create_on_update=True,
         subresources=(Subresource("proxy", PROXY, version="v1", kind="ServiceProxyOptions"), STATUS),
         selectable=(SelectableField("spec.clusterIP"), SelectableField("spec.type"))),
)
