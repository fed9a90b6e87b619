"""The kubelet's own server, as function calls: logs, exec, attach, port-forward.

A real API server opens an HTTPS connection to port 10250 of the node for these; here it calls the kubelet in the same
process.  Refusals are the sentences people know from kubectl.

Source: pkg/kubelet/server/server.go, pkg/kubelet/kubelet_pods.go (GetKubeletContainerLogs, validateContainerLogStatus).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Container, Mapping
from typing import Any

from ..objects.clock import parse_time
from ..objects.errors import StatusError, bad_request, internal, not_found
from ..runtime.cri import ContainerState, ContainerStatus, ExecSession, RuntimeError_
from .containers import specs
from .kubelet import Kubelet
from .logs import LogOptions, read_log
from .worker import PodWorker

Pod = Mapping[str, Any]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Options = Mapping[str, Any]


class KubeletConnector:
    """`NodeConnector` of the edge, over the kubelets of this process (name → kubelet, of those switched on)."""

    def __init__(self, kubelets: Mapping[str, Kubelet], machines: Container[str] = ()) -> None:
        self._kubelets, self._machines = kubelets, machines

    async def logs(self, node: str, pod: Pod, options: Options) -> AsyncIterator[bytes]:
        worker = self._worker(node, pod)
        name = _container_name(pod, options)
        status = self._logged(worker, pod, name, bool(options.get("previous")))
        wanted = LogOptions(
            tail=int(options.get("tailLines", -1)), since=_since(options, worker.node.clock.now()),
            follow=bool(options.get("follow")), timestamps=bool(options.get("timestamps")),
            limit=int(options.get("limitBytes") or 0), stream=_stream(options))

        def running() -> bool:
            known = worker.runs.by_id(status.id)
            return known is not None and known.state is ContainerState.RUNNING

        async for piece in read_log(worker.sandbox.log_path(status), wanted, running):
            yield piece

    async def exec(self, node: str, pod: Pod, options: Options) -> ExecSession:
        worker = self._worker(node, pod)
        status = self._running(worker, _container_name(pod, options))
        return await _of_runtime(worker.node.runtime.exec(
            status.id, list(options.get("command") or ()), stdin=bool(options.get("stdin")),
            tty=bool(options.get("tty"))))

    async def attach(self, node: str, pod: Pod, options: Options) -> ExecSession:
        worker = self._worker(node, pod)
        status = self._running(worker, _container_name(pod, options))
        return await _of_runtime(worker.node.runtime.attach(
            status.id, stdin=bool(options.get("stdin")), tty=bool(options.get("tty"))))

    async def dial(self, node: str, pod: Pod, port: int, context: ssl.SSLContext | None = None) -> Streams:
        worker = self._with_sandbox(node, pod)
        runtime = worker.node.runtime
        host, reachable = await _of_runtime(runtime.port_address(worker.sandbox.id, port))
        return await runtime.dial(host, reachable, context)

    async def port_forward(self, node: str, pod: Pod, port: int) -> Streams:
        worker = self._with_sandbox(node, pod)
        return await _of_runtime(worker.node.runtime.port_forward(worker.sandbox.id, port))

    def _with_sandbox(self, node: str, pod: Pod) -> PodWorker:
        worker = self._worker(node, pod)
        if not worker.sandbox.ready:
            raise internal(f"unable to forward port because pod is not running. Current status={_phase(worker)}")
        return worker

    def _worker(self, node: str, pod: Pod) -> PodWorker:
        kubelet = self._kubelets.get(node)
        if kubelet is None and node in self._machines:
            raise internal(f"dial tcp: {node}:10250: connect: no route to host (the node is switched off)")
        if kubelet is None:
            raise bad_request(f"node {node} is simulated: its Pods have no processes, so there is nothing to read "
                              f"from and nothing to connect to")
        worker = kubelet.workers.get(pod["metadata"]["uid"])
        if worker is None:
            raise not_found("", "pods", pod["metadata"]["name"])
        return worker

    def _logged(self, worker: PodWorker, pod: Pod, name: str, previous: bool) -> ContainerStatus:
        """The run whose log is asked for."""
        latest = worker.runs.latest(name)
        title = f'container "{name}" in pod "{pod["metadata"]["name"]}"'
        if previous:
            before = worker.runs.previous(name)
            if before is None:
                raise bad_request(f"previous terminated {title} not found")
            return before
        waiting = worker.runs.waiting.get(name)
        started = latest is not None and latest.started_at > 0
        if latest is None or not started:
            reason = waiting.reason if waiting else \
                "PodInitializing" if pod["spec"].get("initContainers") else "ContainerCreating"
            if waiting and waiting.reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName"):
                raise bad_request(f"{title} is waiting to start: {_image_trouble(waiting.reason)}")
            raise bad_request(f"{title} is waiting to start: {reason}")
        return latest

    def _running(self, worker: PodWorker, name: str) -> ContainerStatus:
        latest = worker.runs.latest(name)
        if latest is None or latest.state is not ContainerState.RUNNING:
            raise internal(f'unable to upgrade connection: container not found ("{name}")')
        return latest


def _image_trouble(reason: str) -> str:
    return {"ErrImagePull": "image can't be pulled", "InvalidImageName": "image name is not valid"}.get(
        reason, "trying and failing to pull image")


def _container_name(pod: Pod, options: Options) -> str:
    """The container asked for; without a name the only one, or the one of kubectl's default annotation."""
    names = [spec["name"] for _, spec in specs(pod)]
    wanted = options.get("container")
    if wanted:
        if wanted not in names:
            raise bad_request(f"container {wanted} is not valid for pod {pod['metadata']['name']}")
        return wanted
    mains = [c["name"] for c in pod["spec"]["containers"]]
    default = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    if default in mains:
        return str(default)
    if len(mains) > 1:
        raise bad_request(f"a container name must be specified for pod {pod['metadata']['name']}, "
                          f"choose one of: [{' '.join(mains)}]")
    return mains[0]


def _since(options: Options, now: float) -> float:
    if options.get("sinceTime"):
        return parse_time(options["sinceTime"])
    return now - float(options["sinceSeconds"]) if options.get("sinceSeconds") is not None else 0.0


def _stream(options: Options) -> str:
    stream = options.get("stream") or "All"
    return "" if stream == "All" else stream


def _phase(worker: PodWorker) -> str:
    return (worker.pod.get("status") or {}).get("phase", "Pending")


async def _of_runtime(work: Any) -> Any:
    try:
        return await work
    except RuntimeError_ as error:
        raise StatusError(500, "InternalError", error.message) from error
