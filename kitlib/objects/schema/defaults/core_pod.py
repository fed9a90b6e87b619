"""Pods: containers, probes, and what a Pod has that a template has not.

`PodSpec` stands in Pods and in every workload's template; `Pod` only in Pods.  That is why a Deployment's
template shows no `enableServiceLinks`, and why requests are copied from limits only in a Pod itself.

Source: pkg/apis/core/v1/defaults.go (SetDefaults_Pod, SetDefaults_PodSpec, SetDefaults_Container...),
pkg/apis/core/v1/conversion.go (serviceAccount, podIP).
"""

from __future__ import annotations

from typing import Any

from kitlib.objects.schema.scalars import largest_quantity, sum_of_quantities

Obj = dict[str, Any]


def container(obj: Obj) -> None:
    if "imagePullPolicy" not in obj:
        obj["imagePullPolicy"] = "Always" if image_tag(obj.get("image", "")) == "latest" else "IfNotPresent"
    obj.setdefault("terminationMessagePath", "/dev/termination-log")
    obj.setdefault("terminationMessagePolicy", "File")


def image_tag(image: str) -> str:
    """The tag of an image's name: "latest" if it has neither tag nor digest, "" if only a digest."""
    name, at, _digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return tag or ("" if at or not name else "latest")


def pod_spec(obj: Obj) -> None:
    obj.setdefault("dnsPolicy", "ClusterFirst")
    obj.setdefault("restartPolicy", "Always")
    obj.setdefault("securityContext", {})
    obj.setdefault("terminationGracePeriodSeconds", 30)
    obj.setdefault("schedulerName", "default-scheduler")
    account = obj.get("serviceAccountName") or obj.get("serviceAccount")
    if account:  # the old name of the field follows the new one
        obj["serviceAccountName"] = obj["serviceAccount"] = account


def pod(obj: Obj) -> None:
    spec = obj["spec"]
    every = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    for item in every:
        _requests_from_limits(item["resources"])
        if spec.get("hostNetwork"):
            for port in item.get("ports") or ():
                if "hostPort" not in port and port.get("containerPort"):
                    port["hostPort"] = port["containerPort"]
    spec.setdefault("enableServiceLinks", True)
    if spec.get("resources"):
        _pod_level_requests(spec)


def _requests_from_limits(resources: Obj) -> None:
    limits = resources.get("limits")
    if limits:
        requests = resources.setdefault("requests", {})
        for name, limit in limits.items():
            requests.setdefault(name, limit)


def _pod_level_requests(spec: Obj) -> None:
    """What the containers request together, then the Pod's own limits, stand in for requests not given."""
    resources = spec["resources"]
    given = resources.get("requests") or {}
    requests = {**(resources.get("limits") or {}), **_total_requests(spec), **given}
    if requests:
        resources["requests"] = requests


def _total_requests(spec: Obj) -> Obj:
    """Containers and sidecars add up; an init container needs its own on top of the sidecars before it."""
    running = [item["resources"].get("requests") or {} for item in spec.get("containers") or ()]
    peaks: list[Obj] = []
    sidecars: list[Obj] = []
    for item in spec.get("initContainers") or ():
        own = item["resources"].get("requests") or {}
        if item.get("restartPolicy") == "Always":
            sidecars.append(own)
        peaks.append(_sum([*sidecars, own] if item.get("restartPolicy") != "Always" else sidecars))
    peaks.append(_sum([*running, *sidecars]))
    names = {name for peak in peaks for name in peak if name in ("cpu", "memory") or name.startswith("hugepages-")}
    return {name: largest_quantity([peak[name] for peak in peaks if name in peak]) for name in sorted(names)}


def _sum(requests: list[Obj]) -> Obj:
    names = {name for request in requests for name in request}
    return {name: sum_of_quantities([request[name] for request in requests if name in request]) for name in names}


def pod_status(obj: Obj) -> None:
    """`podIP` is the first of `podIPs`; whichever was given is there."""
    first_of(obj, "podIP", "podIPs", lambda ip: {"ip": ip}, lambda item: item.get("ip", ""))


def first_of(obj: Obj, single: str, plural: str, wrap: Any, unwrap: Any) -> None:
    """Keep a field and the list that replaced it in step; the single field wins where they differ."""
    one, many = obj.get(single), obj.get(plural)
    if one and (not many or unwrap(many[0]) != one):
        obj[plural] = [wrap(one)]
    elif many and unwrap(many[0]):
        obj[single] = unwrap(many[0])


def probe(obj: Obj) -> None:
    obj.setdefault("timeoutSeconds", 1)
    obj.setdefault("periodSeconds", 10)
    obj.setdefault("successThreshold", 1)
    obj.setdefault("failureThreshold", 3)


def http_get(obj: Obj) -> None:
    obj.setdefault("path", "/")
    obj.setdefault("scheme", "HTTP")


def object_field_selector(obj: Obj) -> None:
    obj.setdefault("apiVersion", "v1")


HOOKS = {
    "core/v1.Container": container, "core/v1.EphemeralContainer": container, "core/v1.PodSpec": pod_spec,
    "core/v1.Pod": pod, "core/v1.PodStatus": pod_status, "core/v1.Probe": probe, "core/v1.HTTPGetAction": http_get,
    "core/v1.ObjectFieldSelector": object_field_selector,
}
