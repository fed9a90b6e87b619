"""The Node object: what a kubelet says about its machine.

    labels      how the scheduler and people find it (kubernetes.io/hostname, os, arch)
    capacity    all there is;  allocatable: what Pods may ask for
    conditions  Ready, and three kinds of pressure that are absent
    nodeInfo    versions; containerRuntimeVersion names the runtime: process://…, oci://…, simulated://…

Pure: facts in, object out.  Source: pkg/kubelet/nodestatus/setters.go, pkg/kubelet/kubelet_node_status.go.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..objects.clock import rfc3339, rfc3339_micro
from ..runtime.cri import Image

Object = dict[str, Any]
KUBELET_VERSION = "v1.36.2"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40
FAKE_ANNOTATION, FAKE_VALUE = "kwok.x-k8s.io/node", "fake"
RUNTIME_LABEL, ISOLATION_ANNOTATION = "kit/runtime", "kit/isolation"

_PRESSURES = (("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
              ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
              ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"))


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What does not change while a node lives.  isolation: one sentence, e.g. "seccomp, bubblewrap"."""

    name: str
    address: str
    pod_cidr: str = ""
    capacity: Mapping[str, str] = field(default_factory=dict)
    runtime: str = "process"
    runtime_version: str = "1"
    isolation: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()
    simulated: bool = False


def machine_capacity(directory: str = "/", pods: int = 110) -> dict[str, str]:
    """cpu, memory, disk and Pods of this machine."""
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = next(line.split()[1] for line in file if line.startswith("MemTotal:"))
    disk = shutil.disk_usage(directory).total // 1024
    return {"cpu": str(os.cpu_count() or 1), "ephemeral-storage": f"{disk}Ki", "hugepages-1Gi": "0",
            "hugepages-2Mi": "0", "memory": f"{memory}Ki", "pods": str(pods)}


def node_labels(facts: NodeFacts) -> dict[str, str]:
    arch = ARCHITECTURES.get(platform.machine(), platform.machine())
    labels = {"beta.kubernetes.io/arch": arch, "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": arch,
              "kubernetes.io/hostname": facts.name, "kubernetes.io/os": "linux", RUNTIME_LABEL: facts.runtime}
    if facts.simulated:
        labels["type"] = "kwok"
    return labels | dict(facts.labels)


def node_annotations(facts: NodeFacts) -> dict[str, str]:
    annotations = {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}
    if facts.simulated:
        annotations[FAKE_ANNOTATION] = FAKE_VALUE
    if facts.isolation:
        annotations[ISOLATION_ANNOTATION] = facts.isolation
    return annotations | dict(facts.annotations)


def node_object(facts: NodeFacts, images: Sequence[Image], now: float) -> Object:
    """The whole object, for the first registration."""
    spec: Object = {}
    if facts.pod_cidr:
        spec |= {"podCIDR": facts.pod_cidr, "podCIDRs": [facts.pod_cidr]}
    if facts.taints:
        spec["taints"] = [dict(t) for t in facts.taints]
    return {"kind": "Node", "apiVersion": "v1",
            "metadata": {"name": facts.name, "labels": node_labels(facts), "annotations": node_annotations(facts)},
            "spec": spec, "status": node_status(facts, images, now, {})}


def node_status(facts: NodeFacts, images: Sequence[Image], now: float, before: Mapping[str, Any],
                not_ready: str = "") -> Object:
    """status; transition times are kept from `before` as long as nothing turns.  not_ready: why, or ""."""
    return {
        "capacity": dict(facts.capacity), "allocatable": dict(facts.capacity),
        "conditions": conditions(now, before.get("conditions") or (), not_ready),
        "addresses": [{"type": "InternalIP", "address": facts.address}, {"type": "Hostname", "address": facts.name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": node_info(facts),
        **({"images": [_image(i) for i in images]} if images else {}),
    }


def conditions(now: float, before: Sequence[Mapping[str, Any]], not_ready: str = "") -> list[Object]:
    known = {c["type"]: c for c in before}
    wanted = [(kind, "False", reason, message) for kind, reason, message in _PRESSURES]
    wanted.append(("Ready", "False", "KubeletNotReady", not_ready) if not_ready else
                  ("Ready", "True", "KubeletReady", "kubelet is posting ready status"))
    result: list[Object] = []
    for kind, status, reason, message in wanted:
        old = known.pop(kind, None)
        since = old["lastTransitionTime"] if old and old["status"] == status else rfc3339(now)
        result.append({"type": kind, "status": status, "lastHeartbeatTime": rfc3339(now),
                       "lastTransitionTime": since, "reason": reason, "message": message})
    return [dict(c) for c in known.values()] + result


def node_info(facts: NodeFacts) -> Object:
    return {"machineID": _read("/etc/machine-id"), "systemUUID": _read("/etc/machine-id"),
            "bootID": _read("/proc/sys/kernel/random/boot_id"), "kernelVersion": platform.release(),
            "osImage": _os_image(), "containerRuntimeVersion": f"{facts.runtime}://{facts.runtime_version}",
            "kubeletVersion": KUBELET_VERSION, "kubeProxyVersion": "", "operatingSystem": "linux",
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine())}


def lease_object(node: Mapping[str, Any], now: float) -> Object:
    """The heartbeat that costs little: one small object in kube-node-lease."""
    meta = node["metadata"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": meta["name"], "uid": meta["uid"]}
    return {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
            "metadata": {"name": meta["name"], "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]},
            "spec": {"holderIdentity": meta["name"], "leaseDurationSeconds": LEASE_SECONDS,
                     "renewTime": rfc3339_micro(now)}}


def is_simulated(node: Mapping[str, Any]) -> bool:
    return (node["metadata"].get("annotations") or {}).get(FAKE_ANNOTATION) == FAKE_VALUE


def _image(image: Image) -> Object:
    return {"names": [*image.repo_digests, *image.repo_tags], "sizeBytes": image.size}


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _os_image() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
