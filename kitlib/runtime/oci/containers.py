"""A container of the `oci` runtime: how one of the process runtime is started, counted and cleared away with runc.

    containers/ID/config.json     the bundle that `runc run` gets (spec.py)
                 root/ upper/     its overlay (rootfs.py)
                 etc/             hosts, resolv.conf, hostname: bind-mounted, as the kubelet and containerd do
    /kit/CLUSTER/podUID/ID        its cgroup

Everything else (states, logs, attach, stop with a grace period) is `process/containers.py`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kitlib.runtime.oci import cgroups, rootfs, spec
from kitlib.runtime.oci.cni import Attachment
from kitlib.runtime.oci.command import Commands
from kitlib.runtime.oci.network import descriptor
from kitlib.runtime.oci.runner import OciTask, Reaped
from kitlib.runtime.process import overlay
from kitlib.runtime.process.containers import RUNNING, Container, Sandbox
from kitlib.runtime.process.paths import remove_tree

_ACCOUNTS = ("/etc/passwd", "/etc/group")
_KINDS = {"net": "network", "ipc": "ipc", "uts": "uts", "pid": "pid"}  # the runtime-spec's names


class Engine(NamedTuple):
    """What all containers have in common.  runtime: runc with its global options; layers: of described images."""

    runtime: tuple[str, ...]
    commands: Commands
    children: Reaped
    layers: str
    group: str


class OciSandbox(Sandbox):
    """A Pod's place.  attachment: how it hangs on its node's network, result: what the plugins said of it."""

    attachment: Attachment | None = None
    result: Mapping[str, Any] = {}
    network = -1  # the node's own, for a Pod with hostNetwork
    closing: list[Callable[[], None]] | None = None

    @property
    def network_namespace(self) -> int:
        return self.network if self.network >= 0 else self.space.joined(share_pids=False)["net"]

    @property
    def group(self) -> str:
        return f"pod{self.config['uid']}"

    @property
    def shm(self) -> str:
        """The Pod's /dev/shm, which its containers share as they share the IPC namespace."""
        return f"{self.space.directory}/shm"


class OciContainer(Container):
    def __init__(self, engine: Engine, identity: str, sandbox: OciSandbox, *others: Any) -> None:
        self._engine, self._place = engine, sandbox
        self.group = f"{engine.group}/{sandbox.group}/{identity}"
        self._releasing = False
        self._released: list[Callable[[], None]] = []
        super().__init__(identity, sandbox, *others)

    def new_task(self, other: Mapping[str, Any] | None = None) -> OciTask:
        given = other or self.spec
        return OciTask(self._loop, self._engine.children, given, self.directory, self._engine.runtime, self.id,
                       self._make_bundle, lambda argv, tty: self.process(given, argv, tty=tty),
                       isolation=self._isolation, kill=self._on_kill, gate=self._gate)

    # The bundle.

    def process(self, given: Mapping[str, Any], argv: tuple[str, ...], *, tty: bool) -> dict[str, Any]:
        """An exec session's."""
        return spec.process(given, argv, tty=tty)

    def _make_bundle(self, shared: Mapping[str, int]) -> str:
        """config.json and the root directory it names.  Returns the bundle's directory."""
        image = self.spec["image"]
        accounts = {path: text for path, text in self.spec["etc"].items() if path in _ACCOUNTS}
        layers, more = self.spec["layers"], []
        if not layers:
            layers = [rootfs.described_layer(image, accounts, self._engine.layers)]
            more = rootfs.described_mounts(image, layers[0])
        root = overlay.stack(self.directory, layers)
        more += [self._pod_file(path, text) for path, text in self.spec["etc"].items() if path not in _ACCOUNTS]
        more.append({"destination": "/dev/shm", "type": "bind", "source": self._place.shm, "options": ["rbind", "rw"]})
        config = spec.build(self.spec, root, self.group, self._namespaces(shared), more,
                            cgroup_namespace=cgroups.is_unified())
        with open(f"{self.directory}/config.json", "w") as file:
            json.dump(config, file, indent=1)
        return self.directory

    def _pod_file(self, path: str, text: str) -> dict[str, Any]:
        source = self.directory + path
        os.makedirs(os.path.dirname(source), exist_ok=True)
        with open(source, "w") as file:
            file.write(text)
        return {"destination": path, "type": "bind", "source": source, "options": ["rbind", "rprivate", "rw"]}

    def _namespaces(self, shared: Mapping[str, int]) -> dict[str, str]:
        """The Pod's by path; process numbers of its own unless it shares somebody's."""
        found = {_KINDS[kind]: descriptor(fd) for kind, fd in shared.items() if kind in _KINDS}
        if self._place.network >= 0:
            found["network"] = descriptor(self._place.network)
        if self._target is not None:
            found["pid"] = f"/proc/{self._target.task.pid}/ns/pid"
        elif self.spec["pid_mode"] != "NODE":
            found.setdefault("pid", "")
        return found

    # Its end.

    def _on_exited(self, code: int) -> None:
        if cgroups.out_of_memory(self.group):
            self.reason = "OOMKilled"
        super()._on_exited(code)

    def _kill_all(self) -> None:
        if not self._own_pids:
            cgroups.kill(self.group)

    def _end(self, code: int, reason: str, message: str) -> None:
        self._release()
        super()._end(code, reason, message)

    def _release(self) -> None:
        """Give back cgroup, mounts and runc's notes of it."""
        rootfs.unmount(os.path.dirname(self.root))
        self._releasing = True

        def deleted(code: int, _: bytes, stderr: bytes) -> None:
            if code:
                print(f"{self.id}: {stderr.decode(errors='replace').strip()}", file=sys.stderr, flush=True)
            self._releasing = False
            waiting, self._released = self._released, []
            for done in waiting:
                done()

        self._engine.commands.run([*self._engine.runtime, "delete", "--force", self.id], deleted)

    def remove(self, done: Callable[[], None]) -> None:
        def remove() -> None:
            remove_tree(self.directory)
            done()

        def ended() -> None:
            if self._releasing:
                self._released.append(remove)
            else:
                remove()

        self.stop(0, ended)

    def pause(self, paused: bool) -> None:
        cgroups.freeze(self.group, frozen=paused)
        self.paused = paused

    def pids(self) -> list[int]:
        return sorted(cgroups.processes(self.group))

    # Accounting.

    def accounts(self) -> dict[str, Any]:
        return {**cgroups.accounts(self.group), "pid": self.task.pid}

    def usage(self, snapshot: object = None) -> tuple[int, int]:
        return cgroups.usage(self.group) if self.state == RUNNING else (0, 0)

    @property
    def is_watched(self) -> bool:
        """The kernel does."""
        return False

    def resize(self, limits: Mapping[str, int], done: Callable[[str], None]) -> None:
        """Other limits for the running container; `done` gets why they cannot be had, or ""."""
        if self.state != RUNNING:
            done(f"container is in {self.state} state")
            return

        def updated(code: int, _: bytes, stderr: bytes) -> None:
            if not code:
                self.spec["resources"] = dict(limits)
            done(stderr.decode(errors="replace").strip() if code else "")

        self._engine.commands.run([*self._engine.runtime, "update", "--resources", "-", self.id], updated,
                                  stdin=json.dumps(spec.resources(limits, update=True)).encode())
