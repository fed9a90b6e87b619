"""Pods for slides: `!figure pod NAME` and `!figure life NAME` draw these with the code that draws living ones.

duo, shared     what two containers share (the talk's pages 66 and 67)
sidecar, ambassador, adapter    the three patterns (page 68)
good            a life without trouble: init, sidecar, start, probe, ready, end
rough           one with a slow start, a crash and a hard end
"""

from __future__ import annotations

from typing import Any

from kitlib.trace.podlife import POD, PodLife, Span, Told
from kitlib.views import life_svg, pod_svg

Container = dict[str, Any]
READY = {"ready": True, "state": {"running": {}}}
DONE = {"ready": True, "state": {"terminated": {"exitCode": 0}}}


def _container(name: str, image: str, mounts: dict[str, str] | None = None, **more: Any) -> Container:
    found = {"name": name, "image": image, **more}
    if mounts:
        found["volumeMounts"] = [{"mountPath": path, "name": volume} for path, volume in mounts.items()]
    return found


def _pod(name: str, containers: list[Container], init: list[Container] | None = None,
         volumes: list[dict[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
    first = init or []
    return {"metadata": {"name": name}, "spec": {
        "nodeName": "node-2", "initContainers": first, "containers": containers, "volumes": volumes or [], **spec},
        "status": {"phase": "Running", "podIP": "10.244.2.7",
                   "initContainerStatuses": [{"name": c["name"], **(READY if "restartPolicy" in c else DONE)}
                                             for c in first],
                   "containerStatuses": [{"name": c["name"], **READY} for c in containers]}}


SITE = [{"name": "site", "emptyDir": {}}]
PODS = {
    "duo": _pod("duo", [_container("web", "nginx", {"/usr/share/nginx/html": "site"}, ports=[{"containerPort": 80}]),
                        _container("writer", "busybox", {"/out": "site"})], volumes=SITE),
    "shared": _pod("family", [_container("app", "busybox", {"/run/app": "run"}),
                              _container("tools", "busybox", {"/run/app": "run"})],
                   volumes=[{"name": "run", "emptyDir": {}}], shareProcessNamespace=True),
    "sidecar": _pod("report", [_container("main", "busybox", {"/logs": "logs"})],
                    [_container("shipper", "busybox", {"/logs": "logs"}, restartPolicy="Always")],
                    [{"name": "logs", "emptyDir": {}}]),
    "ambassador": _pod("caller", [_container("main", "busybox"),
                                  _container("ambassador", "nginx", {"/config": "config"},
                                             ports=[{"containerPort": 9000}])],
                       volumes=[{"name": "config", "configMap": {"name": "ambassador"}}]),
    "adapter": _pod("meter", [_container("app", "busybox", {"/stats": "stats"}),
                              _container("adapter", "busybox", {"/stats": "stats"}, ports=[{"containerPort": 9100}])],
                    volumes=[{"name": "stats", "emptyDir": {}}]),
}

GOOD = PodLife("web", (POD, "prepare", "shipper", "app"), (
    Span(POD, "Pending", 0, 0.62), Span(POD, "Running", 0.62, 1.6), Span(POD, "Ready", 1.6, 60),
    Span(POD, "Terminating", 60, 61.4),
    Span("prepare", "waiting PodInitializing", 0.01, 0.09), Span("prepare", "running", 0.09, 0.4),
    Span("prepare", "exited 0", 0.4, 61.4),
    Span("shipper", "waiting PodInitializing", 0.01, 0.45), Span("shipper", "ready", 0.45, 61.35),
    Span("shipper", "exited 0", 61.35, 61.4),
    Span("app", "waiting PodInitializing", 0.01, 0.62), Span("app", "running", 0.62, 1.6),
    Span("app", "ready", 1.6, 61.2), Span("app", "exited 0", 61.2, 61.4)),
    (Told(0, "Scheduled", "Successfully assigned default/web to node-2"),
     Told(60, "Killing", "Stopping container app", "app")), 61.4)
ROUGH = PodLife("grump", (POD, "app"), (
    Span(POD, "Pending", 0, 0.08), Span(POD, "Running", 0.08, 30), Span(POD, "Terminating", 30, 60),
    Span("app", "waiting ContainerCreating", 0.01, 0.08), Span("app", "running", 0.08, 3.1),
    Span("app", "exited 1", 3.1, 3.15), Span("app", "running 2", 3.15, 6.2), Span("app", "exited 1", 6.2, 7.2),
    Span("app", "waiting CrashLoopBackOff", 7.2, 16.2), Span("app", "running 3", 16.2, 60)),
    (Told(0, "Scheduled", "Successfully assigned default/grump to node-1"),
     Told(6, "BackOff", "Back-off restarting failed container app in pod grump_default(…)", "app", 2),
     Told(30, "Killing", "Stopping container app", "app")), 60)
LIVES = {"good": GOOD, "rough": ROUGH}


def pod(name: str) -> str:
    """A Pod's anatomy.  Raises ValueError for an unknown name."""
    if name not in PODS:
        raise ValueError(f"there is no Pod {name!r} to draw; there are {', '.join(PODS)}")
    return pod_svg.render(PODS[name])


def life(name: str) -> str:
    """A Pod's life.  Raises ValueError for an unknown name."""
    if name not in LIVES:
        raise ValueError(f"there is no life {name!r} to draw; there are {', '.join(LIVES)}")
    return life_svg.render(LIVES[name])
