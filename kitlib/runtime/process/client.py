"""`ProcessRuntime`: the CRI (cri.py) over the runtime daemon.  What a kubelet holds in its hands.

Keeps nothing that the daemon does not know too: after a crash of the cluster process the next one calls `start` with
the same socket and state, and `list_containers` tells what still runs.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kitlib.objects import lowports
from kitlib.runtime.cri import (
    ContainerConfig,
    ContainerState,
    ContainerStats,
    ContainerStatus,
    EventHandler,
    ExecSyncResponse,
    Image,
    Mount,
    PodSandboxConfig,
    PodSandboxStatus,
    PortMapping,
    Resources,
    RuntimeError_,
)
from kitlib.runtime.process import bundle
from kitlib.runtime.process.images import COPY, NOT_AT_ALL, OVERLAY, USER_OVERLAY, ImageConfig, ImageSource
from kitlib.runtime.process.isolation import Isolation
from kitlib.runtime.process.link import Link
from kitlib.runtime.process.session import ProcessSession

if TYPE_CHECKING:
    from typing_extensions import Self

_MAX_EXEC_SYNC = 16 * 1024 * 1024
CATALOGUE = "kitlib.images.node:NodeImages"


def _load(plugin: str) -> ImageSource:
    """An image source by name, as containerd has its plug-ins: the runtime does not depend on what images there are."""
    module, _, name = plugin.partition(":")
    return getattr(importlib.import_module(module), name)()


def _sandbox_config(data: Mapping[str, Any]) -> PodSandboxConfig:
    aliases = tuple((ip, tuple(names)) for ip, names in data["host_aliases"])
    ports = tuple(PortMapping(**port) for port in data["port_mappings"])
    return PodSandboxConfig(**{**data, "host_aliases": aliases, "port_mappings": ports})


def _container_config(data: Mapping[str, Any]) -> ContainerConfig:
    return ContainerConfig(**{**data, "envs": tuple((name, value) for name, value in data["envs"]),
                              "mounts": tuple(Mount(**mount) for mount in data["mounts"]),
                              "resources": Resources(**data["resources"])})  # fmt: skip


def _status(data: Mapping[str, Any]) -> ContainerStatus:
    config, state = _container_config(data["config"]), ContainerState(data["state"])
    return ContainerStatus(**{**data, "config": config, "state": state})


class ProcessRuntime:
    name = "process"
    daemon = "kitlib.runtime.process.daemon"

    def __init__(self, link: Link, state_dir: str, images: ImageSource) -> None:
        self._link, self._state, self._images = link, state_dir, images
        self._handlers: list[EventHandler] = []
        self._pulled: dict[str, ImageConfig] = {}
        self._sandboxes: dict[str, PodSandboxConfig] = {}

    @classmethod
    async def start(cls, path: str | os.PathLike[str], state_dir: str | os.PathLike[str], *, ephemeral: bool = False,
                    low_ports: str = "auto", images: ImageSource | str = CATALOGUE) -> Self:
        """Join the daemon at `path`, or start one.  `low_ports`: auto, direct or map (see objects/lowports.py)."""
        state = os.path.realpath(state_dir)
        link = Link(os.path.abspath(path), state, module=cls.daemon, ephemeral=ephemeral, low_ports=low_ports)
        runtime = cls(link, state, _load(images) if isinstance(images, str) else images)
        link.on_event = runtime._on_event
        await link.connect()
        runtime._images.stacking = runtime.stacking
        runtime._recall_images()
        return runtime

    @property
    def isolation(self) -> Isolation:
        """What the daemon found on this machine."""
        return Isolation(**self._link.hello["isolation"])

    @property
    def own_address(self) -> bool:
        """Whether 0.0.0.0 in a Pod is the Pod's own address."""
        return self.isolation.notifications

    @property
    def stacking(self) -> str:
        """What can be done with an image's layers here."""
        found = self.isolation
        if found.namespaces:
            return USER_OVERLAY if found.user_namespace else OVERLAY
        return COPY if found.proot else NOT_AT_ALL

    @property
    def pid(self) -> int:
        return self._link.hello["pid"]

    async def version(self) -> str:
        return f"{self.name}://{self._link.hello['version']}"

    def on_container_event(self, handler: EventHandler) -> None:
        self._handlers.append(handler)

    def _on_event(self, event: dict[str, Any]) -> None:
        status = _status(event)
        for handler in self._handlers:
            handler(status)

    # Sandboxes.

    async def run_pod_sandbox(self, config: PodSandboxConfig) -> str:
        identity: str = await self._link.call("run_pod_sandbox", config=asdict(config))
        self._sandboxes[identity] = config
        return identity

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        await self._link.call("stop_pod_sandbox", sandbox=sandbox_id)

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        await self._link.call("remove_pod_sandbox", sandbox=sandbox_id)
        self._sandboxes.pop(sandbox_id, None)

    async def list_pod_sandbox(self) -> list[PodSandboxStatus]:
        found = [PodSandboxStatus(**{**data, "config": _sandbox_config(data["config"])})
                 for data in (await self._link.call("list"))["sandboxes"]]
        self._sandboxes = {status.id: status.config for status in found}
        return found

    async def _sandbox(self, identity: str) -> PodSandboxConfig:
        if identity not in self._sandboxes:
            await self.list_pod_sandbox()
        if identity not in self._sandboxes:
            raise RuntimeError_("NotFound", f'an error occurred when try to find sandbox "{identity}": not found')
        return self._sandboxes[identity]

    async def port_address(self, sandbox_id: str, port: int) -> tuple[str, int]:
        config = await self._sandbox(sandbox_id)
        return config.ip or "127.0.0.1", lowports.reachable(port, self.isolation.port_start)

    async def set_network_policy(self, table: Mapping[str, Any]) -> None:
        """Which connections the Pods may begin (objects/policytable.py); without notifications nothing enforces it."""
        self._link.told["set_network_policy"] = {"table": table}
        await self._link.call("set_network_policy", table=table)

    async def dial(self, host: str, port: int, context: ssl.SSLContext | None = None, *,
                   node: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """All nodes' network is this machine's."""
        return await asyncio.open_connection(host, port, ssl=context)

    async def port_forward(self, sandbox_id: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await self.dial(*await self.port_address(sandbox_id, port))

    # Containers.

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        sandbox = await self._sandbox(sandbox_id)
        name = self._images.normalize(config.image)
        image = self._pulled.get(name)
        if self._images.loaded(name) is not None:
            await self._images.fetch(name)
            image = self._images.pull(name, f"{self._state}/images")
        if image is None:
            raise RuntimeError_("CreateContainerError",
                                f'failed to create containerd container: image "{config.image}": not found')
        spec = self.build(image, config, sandbox)
        return await self._link.call("create_container", sandbox=sandbox_id, config=asdict(config), spec=spec)

    def build(self, image: ImageConfig, config: ContainerConfig, sandbox: PodSandboxConfig) -> dict[str, Any]:
        """What the daemon starts."""
        return bundle.build(image, config, sandbox, own_address=self.own_address)

    async def create_described(self, sandbox_id: str, name: str, spec: Mapping[str, Any]) -> str:
        """A container from what the daemon starts, made by somebody else than `bundle` (Docker's are)."""
        config = asdict(ContainerConfig(name, name))
        return await self._link.call("create_container", sandbox=sandbox_id, config=config, spec=dict(spec))

    async def start_container(self, container_id: str) -> None:
        await self._link.call("start_container", container=container_id)

    async def stop_container(self, container_id: str, timeout: float) -> None:
        await self._link.call("stop_container", container=container_id, timeout=timeout)

    async def remove_container(self, container_id: str) -> None:
        await self._link.call("remove_container", container=container_id)

    async def list_containers(self) -> list[ContainerStatus]:
        return [_status(data) for data in (await self._link.call("list"))["containers"]]

    async def container_status(self, container_id: str) -> ContainerStatus:
        return _status(await self._link.call("container_status", container=container_id))

    async def container_stats(self, container_id: str) -> ContainerStats:
        cpu, memory = await self._link.call("container_stats", container=container_id)
        return ContainerStats(container_id, time.time(), cpu, memory)

    async def update_container_resources(self, container_id: str, resources: Resources) -> None:
        await self._link.call("update_container_resources", container=container_id, resources=asdict(resources))

    # Exec and attach.

    async def exec(self, container_id: str, cmd: Sequence[str], *, stdin: bool, tty: bool) -> ProcessSession:
        params = {"container": container_id, "argv": list(cmd), "stdin": stdin, "tty": tty}
        return ProcessSession(*await self._link.stream("exec", params))

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> ProcessSession:
        params = {"container": container_id, "stdin": stdin, "tty": tty}
        return ProcessSession(*await self._link.stream("attach", params))

    async def session(self, method: str, container_id: str, **params: Any) -> ProcessSession:
        """exec with `override` (of the container's spec), or attach with `early` (before the start) and `lossless`
        (who does not read stops the container)."""
        return ProcessSession(*await self._link.stream(method, {"container": container_id, **params}))

    async def ask(self, method: str, **params: Any) -> Any:
        """What goes beyond the CRI: a method of the daemon's by name (beyond.py, oci/standalone.py)."""
        return await self._link.call(method, **params)

    async def receive(self, method: str, **params: Any) -> socket.socket:
        """The same for what answers with a socket."""
        return await self._link.receive(method, **params)

    async def exec_sync(self, container_id: str, cmd: Sequence[str], timeout: float) -> ExecSyncResponse:
        """Run to the end.  A `timeout` of 0 waits for ever; past it the process is killed."""
        session = await self.exec(container_id, cmd, stdin=False, tty=False)
        outputs = {1: bytearray(), 2: bytearray()}

        async def collect() -> None:
            async for stream, data in session.output():
                if len(outputs[stream]) < _MAX_EXEC_SYNC:
                    outputs[stream] += data

        try:
            await asyncio.wait_for(collect(), timeout or None)
        except asyncio.TimeoutError:
            await session.kill()
            raise RuntimeError_("DeadlineExceeded", f"command {json.dumps(list(cmd))} timed out: timeout {timeout:g}s "
                                "exceeded") from None  # fmt: skip
        finally:
            session.close()
        if session.exit_code is None:
            raise RuntimeError_("RuntimeUnavailable", "the runtime daemon has gone")
        return ExecSyncResponse(bytes(outputs[1]), bytes(outputs[2]), session.exit_code)

    # Images.  Which are "on the node" is kept in a file, so that a restart pulls nothing again.

    def _recall_images(self) -> None:
        try:
            with open(f"{self._state}/images.json") as file:
                names = json.load(file)
        except (FileNotFoundError, ValueError):
            return
        for name in names:
            try:
                self._pulled[name] = self._images.pull(name, f"{self._state}/images")
            except RuntimeError_:
                continue  # its program was uninstalled meanwhile: it is no longer here

    def _remember_images(self) -> None:
        temporary = f"{self._state}/images.json.new"
        with open(temporary, "w") as file:
            json.dump(sorted(self._pulled), file)
        os.replace(temporary, f"{self._state}/images.json")

    @staticmethod
    def _image(config: ImageConfig) -> Image:
        return Image(config.digest, (config.name,), (config.repository_digest,), config.size)

    async def pull_image(self, image: str) -> Image:
        name = self._images.normalize(image)
        await self._images.fetch(name)
        self._pulled[name] = self._images.pull(name, f"{self._state}/images")
        self._remember_images()
        return self._image(self._pulled[name])

    async def image_status(self, image: str) -> Image | None:
        name = self._images.normalize(image)
        found = self._pulled.get(name)
        return self._images.loaded(name) or (self._image(found) if found else None)

    async def list_images(self) -> list[Image]:
        loaded = {image.repo_tags[0]: image for image in self._images.all_loaded()}
        return list({**{config.name: self._image(config) for config in self._pulled.values()}, **loaded}.values())

    async def remove_image(self, image: str) -> None:
        if self._pulled.pop(self._images.normalize(image), None):
            self._remember_images()

    # The end.

    async def close(self) -> None:
        """Let go.  A durable daemon and its Pods go on; an ephemeral one ends with this connection."""
        await self._link.close()

    async def shutdown(self) -> None:
        """End the daemon and all containers (`kit down`)."""
        await self._link.call("shutdown")
        await self._link.wait_gone()
        await self._link.close()
