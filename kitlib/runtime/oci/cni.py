"""A Pod's network interface, by the plugins of the Container Network Interface.

    ADD     loopback                      bridge ─▶ (portmap)        each is a program: configuration on stdin,
            lo is up                      │ eth0, a wire to cni0     the task in CNI_… variables, the result on
                                          └ host-local: an address   stdout; the next one gets it as prevResult
    DEL     the other way round, with the result of ADD
    CHECK   is it still as ADD has left it?
    VERSION which versions of this interface do you speak?

The plugins run in the node's network namespace, as on a node of its own; the Pod's is given to them by path.  The
address is the one that the kubelet chose (CNI_ARGS, IP=…), for a Pod whose sandbox was lost keeps its address.
portmap is in the list only for Pods that have a hostPort: it wants iptables.

Source: the CNI specification 1.0.0 (containernetworking/cni, SPEC.md), sections 2 to 5; containerd's go-cni.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from kitlib.runtime.oci.command import Commands

Object = dict[str, Any]
Outcome = Callable[[str, Object], None]  # (error or "", result)
VERSION = "1.0.0"
NETWORK, LOOPBACK, INTERFACE = "kit", "cni-loopback", "eth0"


class Attachment(NamedTuple):
    """One Pod's place in its node's network.

    namespace: the Pod's network namespace, a path.  node: the node's, a descriptor.  ip: the address it shall have.
    ports: (hostPort, containerPort, protocol).
    """

    container_id: str
    namespace: str
    node: int
    pod_cidr: str
    ip: str
    pod_namespace: str = ""
    pod_name: str = ""
    ports: Sequence[tuple[int, int, str]] = ()


def configuration(pod_cidr: str, state: str, *, ports: bool = False) -> Object:
    """The network's configuration list, as it would lie in /etc/cni/net.d of the node.

    state: where host-local remembers which addresses are given away.
    """
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True,
              "ipam": {"type": "host-local", "ranges": [[{"subnet": pod_cidr}]], "dataDir": state,
                       "routes": [{"dst": "0.0.0.0/0"}]}}  # fmt: skip
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    return {"cniVersion": VERSION, "name": NETWORK, "plugins": [bridge, *([portmap] if ports else [])]}


def loopback() -> Object:
    return {"cniVersion": VERSION, "name": LOOPBACK, "plugins": [{"type": "loopback"}]}


def request(network: Mapping[str, Any], plugin: Mapping[str, Any], previous: Object | None,
            attachment: Attachment) -> Object:
    """What one plugin reads: its part of the list, the list's name and version, what the one before it did."""
    wanted = {key: value for key, value in plugin.items() if key != "capabilities"}
    capable = plugin.get("capabilities") or {}
    if capable.get("portMappings") and attachment.ports:
        wanted["runtimeConfig"] = {"portMappings": [
            {"hostPort": host, "containerPort": port, "protocol": protocol.lower()}
            for host, port, protocol in attachment.ports]}  # fmt: skip
    return {**wanted, "cniVersion": network["cniVersion"], "name": network["name"],
            **({"prevResult": previous} if previous else {})}  # fmt: skip


def environment(command: str, attachment: Attachment, interface: str, path: str) -> dict[str, str]:
    arguments = {"IgnoreUnknown": "1", "K8S_POD_NAMESPACE": attachment.pod_namespace,
                 "K8S_POD_NAME": attachment.pod_name, "K8S_POD_INFRA_CONTAINER_ID": attachment.container_id,
                 "IP": attachment.ip}  # fmt: skip
    return {"CNI_COMMAND": command, "CNI_CONTAINERID": attachment.container_id, "CNI_NETNS": attachment.namespace,
            "CNI_IFNAME": interface, "CNI_PATH": path,
            "CNI_ARGS": ";".join(f"{key}={value}" for key, value in arguments.items() if value)}  # fmt: skip


class Cni:
    """Runs plugins.  directory: where they are; state: where a network may keep its own."""

    def __init__(self, commands: Commands, directory: str, state: str) -> None:
        self._commands, self._directory, self._state = commands, directory, state

    def add(self, attachment: Attachment, done: Outcome) -> None:
        """Give the Pod its interfaces; `done` gets the result of the last plugin (interfaces, ips, routes)."""
        outcomes: dict[str, tuple[str, Object]] = {}

        def joined(interface: str) -> Outcome:
            def one(error: str, result: Object) -> None:
                outcomes[interface] = (error, result)
                if len(outcomes) == 2:
                    done(outcomes[INTERFACE][0] or outcomes["lo"][0], outcomes[INTERFACE][1])

            return one

        self._chain("ADD", loopback(), attachment, "lo", None, joined("lo"))
        self._chain("ADD", self._network(attachment), attachment, INTERFACE, None, joined(INTERFACE))

    def delete(self, attachment: Attachment, result: Object, done: Outcome) -> None:
        """Take them away.  As the specification has it, there is no error if nothing is there any more."""
        self._chain("DEL", self._network(attachment), attachment, INTERFACE, result, done)

    def check(self, attachment: Attachment, result: Object, done: Outcome) -> None:
        """An error says what is not as `result` has it."""
        self._chain("CHECK", self._network(attachment), attachment, INTERFACE, result, done)

    def versions(self, plugin: str, done: Outcome) -> None:
        """{"supportedVersions": […]}"""
        asked = Attachment("", "", -1, "", "")
        self._call("VERSION", {"cniVersion": VERSION}, plugin, asked, INTERFACE, done)

    def _network(self, attachment: Attachment) -> Object:
        return configuration(attachment.pod_cidr, self._state, ports=bool(attachment.ports))

    def _chain(self, command: str, network: Object, attachment: Attachment, interface: str, result: Object | None,
               done: Outcome) -> None:
        """One plugin after the other; DEL in reverse.  An error ends it, but for DEL, which cleans up what it can."""
        waiting = list(network["plugins"])
        if command == "DEL":
            waiting.reverse()
        problems: list[str] = []

        def following(error: str, answer: Object) -> None:
            nonlocal result
            if error:
                problems.append(error)
            elif command == "ADD":
                result = answer or result
            if not waiting or (problems and command != "DEL"):
                done("; ".join(problems), result or {})
                return
            plugin = waiting.pop(0)
            self._call(command, request(network, plugin, result, attachment), plugin["type"], attachment, interface,
                       following)  # fmt: skip

        following("", {})

    def _call(self, command: str, wanted: Object, plugin: str, attachment: Attachment, interface: str,
              done: Outcome) -> None:
        def ended(code: int, stdout: bytes, stderr: bytes) -> None:
            try:
                answer = json.loads(stdout) if stdout.strip() else {}
            except ValueError:
                answer, code = {}, code or 1
            if code:
                done(f'plugin type="{plugin}" failed ({command.lower()}): {_reason(answer, stdout, stderr)}', {})
            else:
                done("", answer)

        self._commands.run([f"{self._directory}/{plugin}"], ended, stdin=json.dumps(wanted).encode(),
                           namespace=attachment.node,
                           env=environment(command, attachment, interface, self._directory))  # fmt: skip


def _reason(answer: Object, stdout: bytes, stderr: bytes) -> str:
    """An error result's message and details; what else was said where a plugin does not keep to the form."""
    told = ": ".join(part for part in (answer.get("msg", ""), answer.get("details", "")) if part)
    return told or (stderr or stdout).decode(errors="replace").strip() or "it gave no reason"


def address(result: Mapping[str, Any]) -> str:
    """The Pod's address out of an ADD's result."""
    ips = result.get("ips") or ()
    return str(ips[0]["address"]).partition("/")[0] if ips else ""
