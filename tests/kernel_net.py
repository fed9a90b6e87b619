"""A small network of namespaces: what rules do, seen by traffic.  Needs root.

    outside ──┐
    192.0.2.9 │            node1 192.0.2.2 ── Pods a1 10.244.1.2, a2 10.244.1.3
              fabric ──────┤
              a bridge     node2 192.0.2.3 ── Pod  b1 10.244.2.2
              └── routes 198.51.100.0/24 to node1

Pods hang on their node by a veth each and are routed, as the CNI plug-in ptp does it.  Every place is a process that
serves TCP and UDP on port 8080, telling its name and whom it sees, and asks others when it is told to.  The namespaces
live as long as these processes: nothing is left, whatever happens.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kitlib.network.iptables import RuleContext
from kitlib.network.kernel.node import Rules, parts
from kitlib.network.kernel.shell import NodeShell, Run
from kitlib.network.proxy.client import ProxyProcess
from kitlib.network.service_ports import ServicePort

NODES = {"node1": "192.0.2.2", "node2": "192.0.2.3"}
PODS = {"a1": ("node1", "10.244.1.2"), "a2": ("node1", "10.244.1.3"), "b1": ("node2", "10.244.2.2")}
OUTSIDE = "192.0.2.9"

AGENT = """
import json, socket, sys, threading
name = sys.argv[1]
def said(client):
    return json.dumps({"name": name, "source": client[0]}).encode()
def tcp():
    server = socket.create_server(("0.0.0.0", 8080), backlog=64)
    while True:
        connection, client = server.accept()
        connection.sendall(said(client))
        connection.close()
def udp():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", 8080))
    while True:
        _, client = server.recvfrom(64)
        server.sendto(said(client), client)
def ask(to, protocol, timeout, sport):
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM) as one:
            one.settimeout(timeout)
            one.bind(("0.0.0.0", sport))
            one.connect(tuple(to))
            if protocol == "udp":
                one.send(b"?")
            return json.loads(one.recv(4096) or b'"reset"')
    except (ConnectionRefusedError, ConnectionResetError):
        return "refused"
    except OSError as error:
        return "silence" if isinstance(error, TimeoutError) else str(error)
for work in (tcp, udp):
    threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(ask(**json.loads(line))), flush=True)
"""


class Net:
    def __init__(self) -> None:
        names = ("fabric", "outside", *NODES, *PODS)
        self._agents = {name: subprocess.Popen(["unshare", "-n", sys.executable, "-S", "-c", AGENT, name], text=True,
                                               stdin=subprocess.PIPE, stdout=subprocess.PIPE) for name in names}
        try:
            for agent in self._agents.values():
                assert agent.stdout is not None
                assert agent.stdout.readline() == "ready\n"
            self._wire()
        except BaseException:
            self.close()
            raise

    def enter(self, place: str, command: Sequence[str]) -> list[str]:
        return ["nsenter", "-t", str(self._agents[place].pid), "-n", *command]

    def run(self, place: str, *command: str, text: str = "") -> str:
        done = subprocess.run(self.enter(place, command), input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{command} in {place}: {done.stderr}"
        return done.stdout

    def _ip(self, place: str, *lines: str) -> None:
        self.run(place, "ip", "-batch", "-", text="".join(f"{line}\n" for line in ("link set lo up", *lines)))

    def _wire(self) -> None:
        pid = {name: agent.pid for name, agent in self._agents.items()}
        edge = {"outside": OUTSIDE, **NODES}
        self._ip("fabric", "link add br0 type bridge", "link set br0 up", *(
            line for name in edge for line in (f"link add v{name} type veth peer name eth0 netns {pid[name]}",
                                               f"link set v{name} master br0 up")))
        self._ip("outside", f"addr add {OUTSIDE}/24 dev eth0", "link set eth0 up",
                 "route add 198.51.100.0/24 via 192.0.2.2")
        for node, address in NODES.items():
            other = next(name for name in NODES if name != node)
            pods = [(name, ip) for name, (where, ip) in PODS.items() if where == node]
            self._ip(node, f"addr add {address}/24 dev eth0", "link set eth0 up", "route add default via 192.0.2.9",
                     f"route add 10.244.{other[-1]}.0/24 via {NODES[other]}",
                     *(line for name, ip in pods for line in (
                         f"link add v{name} type veth peer name eth0 netns {pid[name]}", f"link set v{name} up",
                         f"addr add {gateway(node)}/32 dev v{name}", f"route add {ip}/32 dev v{name}")))
            self.run(node, "sysctl", "-qw", "net.ipv4.ip_forward=1")
            for name, ip in pods:
                self._ip(name, f"addr add {ip}/32 dev eth0", "link set eth0 up", f"route add {gateway(node)} dev eth0",
                         f"route add default via {gateway(node)}")

    def ask(self, place: str, address: str, port: int, *, protocol: str = "tcp", timeout: float = 2.0,
            sport: int = 0) -> Any:
        """{"name", "source"} of who answers, "refused", or "silence"."""
        agent = self._agents[place]
        assert agent.stdin is not None
        assert agent.stdout is not None
        agent.stdin.write(json.dumps({"to": [address, port], "protocol": protocol, "timeout": timeout,
                                      "sport": sport}) + "\n")
        agent.stdin.flush()
        return json.loads(agent.stdout.readline())

    def close(self) -> None:
        for agent in self._agents.values():
            agent.kill()
            agent.wait()


def gateway(node: str) -> str:
    """The node's address towards its own Pods: what those see who are masqueraded on their way to them."""
    return f"10.244.{node[-1]}.1"


def context(node: str) -> RuleContext:
    return RuleContext(node, "10.244.0.0/16", "10.96.0.0/16", [NODES[node]], nfacct=False)


def shell(net: Net) -> NodeShell:
    return NodeShell(runner(net.enter))


def runner(enter: Callable[[str, Sequence[str]], list[str]]) -> Run:
    """What a runtime gives: a command's way into a namespace, here by nsenter."""
    async def run(place: str, command: Sequence[str], stdin: str) -> Done:
        process = await asyncio.create_subprocess_exec(
            *enter(place, command), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE)
        out, err = await process.communicate(stdin.encode())
        return Done(process.returncode or 0, out.decode(), err.decode())

    return run


class Done(NamedTuple):
    code: int
    stdout: str
    stderr: str


class Kept:
    """One mode on both nodes, brought from state to state."""

    def __init__(self, net: Net, mode: str) -> None:
        self.net, self.mode, self.shell = net, mode, shell(net)
        self.loop = asyncio.new_event_loop()
        self.parts: dict[str, list[Rules]] = {node: parts(mode, self.shell, node, self._proxy) for node in NODES}

    def _proxy(self, node: str) -> ProxyProcess:
        return ProxyProcess(enter=lambda command: self.net.enter(node, command))

    def sync(self, ports: Sequence[ServicePort]) -> None:
        for node, rules in self.parts.items():
            for part in rules:
                self.loop.run_until_complete(part.sync(ports, context(node)))

    def clear(self) -> None:
        for rules in self.parts.values():
            for part in rules:
                self.loop.run_until_complete(part.clear())
        self.loop.close()
