"""ServiceAccount: every Pod runs as some account, and finds that account's token in a file.

The volume `kube-api-access-…` projects three things that any program needs to reach the API: a token
that the kubelet renews, the cluster's CA, and the namespace's name.

Source: k8s.io/kubernetes/plugin/pkg/admission/serviceaccount/admission.go.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.call import Call
from kitlib.objects.meta import random_suffix

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
PREFIX = "kube-api-access-"
EXPIRES = 3607  # a little over an hour: recognisable as made here
# The same in every Pod, so all Pods share it: stored objects are never changed.
SOURCES = [
    {"serviceAccountToken": {"expirationSeconds": EXPIRES, "path": "token"}},
    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {
        "apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}]
MIRROR = "kubernetes.io/config.mirror"


def inject(call: Call, obj: dict[str, Any], old: dict[str, Any] | None) -> None:
    spec, meta = obj.setdefault("spec", {}), obj["metadata"]
    if MIRROR in (meta.get("annotations") or {}):
        return
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    found = call.api.store.get("serviceaccounts", call.namespace, name)
    if found is None:
        raise call.forbidden(f"error looking up service account {call.namespace}/{name}: serviceaccount {name!r} not "
                             "found", meta.get("name", ""))
    account = found.obj
    if _wants_token(spec, account):
        _mount(spec)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(reference) for reference in account["imagePullSecrets"]]


def _wants_token(spec: dict[str, Any], account: dict[str, Any]) -> bool:
    for holder in (spec, account):
        if holder.get("automountServiceAccountToken") is not None:
            return bool(holder["automountServiceAccountToken"])
    return True


def _mount(spec: dict[str, Any]) -> None:
    """Mount the token into every container that does not mount something else there."""
    volume = next((v["name"] for v in spec.get("volumes") or () if v["name"].startswith(PREFIX)), "")
    name, needed = volume or PREFIX + random_suffix(), False
    for part in ("initContainers", "containers"):
        for container in spec.get(part) or ():
            mounts = container.setdefault("volumeMounts", [])
            if all(mount.get("mountPath") != MOUNT_PATH for mount in mounts):
                mounts.append({"name": name, "readOnly": True, "mountPath": MOUNT_PATH})
                needed = True
            elif not mounts:
                del container["volumeMounts"]
    if needed and not volume:
        spec.setdefault("volumes", []).append({"name": name, "projected": {"sources": SOURCES, "defaultMode": 420}})
