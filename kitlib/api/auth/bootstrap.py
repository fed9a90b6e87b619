"""The roles that every cluster has, as data.

`cluster-admin`, `admin`, `edit` and `view` are for people; `system:*` for the parts of the cluster and
for what everybody may do (discovery, asking about oneself).  Each line is one rule: verbs, API groups,
resources.

Source: k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Obj = dict[str, Any]
API = "rbac.authorization.k8s.io/v1"
LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
AUTOUPDATE = {"rbac.authorization.kubernetes.io/autoupdate": "true"}

READ = "get list watch"
WRITE = "create delete deletecollection patch update"
ALL = f"{WRITE} {READ}"

Line = tuple[str, str, str]  # verbs, groups ("-" is the core group), resources

_VIEW: tuple[Line, ...] = (
    (READ, "-", "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods pods/status "
     "replicationcontrollers replicationcontrollers/scale replicationcontrollers/status serviceaccounts services "
     "services/status bindings events limitranges namespaces namespaces/status pods/log resourcequotas "
     "resourcequotas/status"),
    (READ, "discovery.k8s.io", "endpointslices"),
    (READ, "apps", "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status "
     "replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status"),
    (READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    (READ, "batch", "cronjobs cronjobs/status jobs jobs/status"),
    (READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    (READ, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
    (READ, "metrics.k8s.io", "pods nodes"),
)
_EDIT: tuple[Line, ...] = (
    (READ, "-", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
    ("impersonate", "-", "serviceaccounts"),
    (WRITE, "-", "pods pods/attach pods/exec pods/portforward pods/proxy configmaps events persistentvolumeclaims "
     "replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy endpoints"),
    ("create", "-", "pods/eviction serviceaccounts/token"),
    (WRITE, "apps", "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale "
     "statefulsets statefulsets/scale"),
    (WRITE, "autoscaling", "horizontalpodautoscalers"),
    (WRITE, "batch", "cronjobs jobs"),
    (WRITE, "policy", "poddisruptionbudgets"),
    (WRITE, "networking.k8s.io", "ingresses networkpolicies"),
    (ALL, "coordination.k8s.io", "leases"),
)
_ADMIN: tuple[Line, ...] = (
    ("create", "authorization.k8s.io", "localsubjectaccessreviews"),
    (ALL, "rbac.authorization.k8s.io", "rolebindings roles"),
)

_ROLES: dict[str, tuple[Line, ...]] = {
    "cluster-admin": (("*", "*", "*"),),
    # In the order in which the aggregation controller puts them together: by name of the parts.
    "admin": (*_EDIT, *_VIEW, *_ADMIN),
    "edit": (*_EDIT, *_VIEW),
    "view": _VIEW,
    "system:aggregate-to-admin": _ADMIN,
    "system:aggregate-to-edit": _EDIT,
    "system:aggregate-to-view": _VIEW,
    "system:basic-user": (
        ("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
        ("create", "authentication.k8s.io", "selfsubjectreviews"),
    ),
    "system:auth-delegator": (
        ("create", "authentication.k8s.io", "tokenreviews"),
        ("create", "authorization.k8s.io", "subjectaccessreviews"),
    ),
    "system:node": (
        ("create", "authentication.k8s.io", "tokenreviews"),
        ("create", "authorization.k8s.io", "subjectaccessreviews localsubjectaccessreviews"),
        (READ, "-", "services configmaps secrets persistentvolumeclaims persistentvolumes endpoints"),
        (f"create {READ}", "-", "nodes"),
        ("patch update", "-", "nodes/status nodes"),
        ("create patch update", "-", "events"),
        (f"create delete {READ}", "-", "pods"),
        ("patch update", "-", "pods/status"),
        ("create", "-", "pods/eviction serviceaccounts/token"),
        ("create delete get patch update", "coordination.k8s.io", "leases"),
        (READ, "node.k8s.io", "runtimeclasses"),
        ("create get list watch", "certificates.k8s.io", "certificatesigningrequests"),
        ("create delete get patch update", "storage.k8s.io", "csinodes"),
        (READ, "storage.k8s.io", "volumeattachments csidrivers"),
    ),
    "system:kube-scheduler": (
        ("create patch update", "- events.k8s.io", "events"),
        ("create get list update watch", "coordination.k8s.io", "leases"),
        (f"delete {READ}", "-", "pods"),
        (READ, "-", "nodes namespaces services replicationcontrollers persistentvolumeclaims persistentvolumes"),
        ("create", "-", "bindings pods/binding"),
        ("patch update", "-", "pods/status"),
        (READ, "apps", "replicasets statefulsets"),
        (READ, "policy", "poddisruptionbudgets"),
        (READ, "storage.k8s.io", "csinodes csidrivers csistoragecapacities storageclasses volumeattachments"),
    ),
    "system:kube-controller-manager": (
        ("create patch update", "- events.k8s.io", "events"),
        ("create get list update watch", "coordination.k8s.io", "leases"),
        ("create", "-", "secrets serviceaccounts serviceaccounts/token"),
        ("create", "authentication.k8s.io", "tokenreviews"),
        ("create", "authorization.k8s.io", "subjectaccessreviews"),
        (READ, "*", "*"),
    ),
    "system:node-proxier": (
        ("list watch", "-", "services endpoints"),
        (READ, "-", "nodes"),
        ("create patch update", "- events.k8s.io", "events"),
        ("list watch", "discovery.k8s.io", "endpointslices"),
    ),
}
_PATHS = {
    "cluster-admin": ("*", ("*",)),
    "system:discovery": ("get", ("/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*",
                                 "/readyz", "/version", "/version/")),
    "system:public-info-viewer": ("get", ("/healthz", "/livez", "/readyz", "/version", "/version/")),
    "system:monitoring": ("get", ("/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/metrics/slis",
                                  "/readyz", "/readyz/*")),
    "system:service-account-issuer-discovery": ("get", ("/.well-known/openid-configuration", "/openid/v1/jwks")),
}
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
_AGGREGATED = ("admin", "edit", "view")
# role -> the aggregated role that it is a part of
_PART_OF = {"edit": "admin", "view": "edit", **{f"system:aggregate-to-{name}": name for name in _AGGREGATED}}
_BINDINGS: dict[str, tuple[str, str]] = {  # role -> kind and name of the subject
    "cluster-admin": ("Group", "system:masters"),
    "system:basic-user": ("Group", "system:authenticated"),
    "system:discovery": ("Group", "system:authenticated"),
    "system:public-info-viewer": ("Group", "system:authenticated system:unauthenticated"),
    "system:monitoring": ("Group", "system:monitoring"),
    "system:node": ("Group", "system:nodes"),
    "system:kube-scheduler": ("User", "system:kube-scheduler"),
    "system:kube-controller-manager": ("User", "system:kube-controller-manager"),
    "system:node-proxier": ("User", "system:kube-proxy"),
    "system:service-account-issuer-discovery": ("Group", "system:serviceaccounts"),
}


def _meta(name: str, **more: Any) -> Obj:
    return {"name": name, "labels": dict(LABELS), "annotations": dict(AUTOUPDATE), **more}


def _rule(line: Line) -> Obj:
    verbs, groups, resources = line
    return {"apiGroups": ["" if group == "-" else group for group in groups.split()],
            "resources": resources.split(), "verbs": verbs.split()}


def _subjects(kind: str, names: str) -> list[Obj]:
    return [{"kind": kind, "apiGroup": "rbac.authorization.k8s.io", "name": name} for name in names.split()]


def cluster_objects() -> Iterator[Obj]:
    """ClusterRoles and ClusterRoleBindings."""
    for name in dict.fromkeys((*_ROLES, *_PATHS)):
        role: Obj = {"apiVersion": API, "kind": "ClusterRole", "metadata": _meta(name)}
        role["rules"] = [_rule(line) for line in _ROLES.get(name, ())]
        if name in _PATHS:
            verbs, paths = _PATHS[name]
            role["rules"].append({"nonResourceURLs": list(paths), "verbs": [verbs]})
        if name in _AGGREGATED:
            # What an operator's CRDs add to these roles comes by label, see controllers/clusterroleaggregation.py.
            role["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {f"{_AGGREGATE}{name}": "true"}}]}
        if name in _PART_OF:
            role["metadata"]["labels"][f"{_AGGREGATE}{_PART_OF[name]}"] = "true"
        yield role
    for role_name, (kind, names) in _BINDINGS.items():
        yield {"apiVersion": API, "kind": "ClusterRoleBinding", "metadata": _meta(role_name),
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role_name},
               "subjects": _subjects(kind, names)}


def namespaced_objects() -> Iterator[Obj]:
    """Roles and RoleBindings of single namespaces."""
    for namespace, name, group in (("kube-public", "system:controller:bootstrap-signer", "system:masters"),):
        yield {"apiVersion": API, "kind": "Role", "metadata": _meta(name, namespace=namespace), "rules": [
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]}
        yield {"apiVersion": API, "kind": "RoleBinding", "metadata": _meta(name, namespace=namespace),
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
               "subjects": _subjects("Group", group)}
