"""Two nodes and nine Pods as bare network namespaces: what nftables rules do, seen by traffic.  Needs root.

    x/a … y/b ══ node 0 ══════════ node 1 ══ y/c, z/a … z/c        ══ a veth pair; nodes route

Every Pod is a process that echoes on its ports, TCP and UDP, and tries connections when it is told to.  The namespaces
belong to these processes only: when they end, nothing is left.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from policy_cases import NAMESPACES, PODS, PORTS, address

Connection = tuple[str, str, int, str]
PLACES = [f"{namespace}/{name}" for namespace in NAMESPACES for name in PODS]

AGENT = """
import json, select, socket, sys, time
ports = json.loads(sys.argv[1])
poll, servers = select.poll(), {}
for port in ports:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        server = socket.socket(socket.AF_INET, kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("0.0.0.0", port))
        if kind == socket.SOCK_STREAM:
            server.listen(64)
        servers[server.fileno()] = server
        poll.register(server, select.POLLIN)
poll.register(sys.stdin, select.POLLIN)

def serve(fd):
    server = servers[fd]
    if server.type == socket.SOCK_STREAM:
        server.accept()[0].close()
    else:
        data, client = server.recvfrom(64)
        server.sendto(data, client)

def attempt(wanted, seconds):
    waiting, passed = {}, set()
    for number, (ip, port, protocol) in enumerate(wanted):
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM)
        one.setblocking(False)
        one.connect_ex((ip, port))
        if protocol == "UDP":
            one.send(b"?")
        waiting[one.fileno()] = number, one
        poll.register(one, select.POLLOUT if protocol == "TCP" else select.POLLIN)
    end = time.monotonic() + seconds
    while waiting and time.monotonic() < end:
        for fd, _ in poll.poll(max(0, (end - time.monotonic()) * 1000)):
            if fd in servers:
                serve(fd)
            elif fd in waiting:
                number, one = waiting.pop(fd)
                if not one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    passed.add(number)
                poll.unregister(fd)
                one.close()
    for _, one in waiting.values():
        poll.unregister(one)
        one.close()
    return sorted(passed)

print("ready", flush=True)
while True:
    for fd, _ in poll.poll():
        if fd in servers:
            serve(fd)
            continue
        line = sys.stdin.readline()
        if not line:
            sys.exit()
        request = json.loads(line)
        print(json.dumps(attempt(request["connections"], request["seconds"])), flush=True)
"""


class Net:
    def __init__(self) -> None:
        self._nodes = [subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                       for _ in range(2)]
        self.pods = {place: subprocess.Popen(
            ["unshare", "-n", sys.executable, "-S", "-c", AGENT, json.dumps(PORTS)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True) for place in PLACES}  # fmt: skip
        for node in self._nodes:
            assert node.stdin is not None
            assert node.stdout is not None
            node.stdin.write(b"\n")
            node.stdin.flush()
            node.stdout.readline()  # it is in its own namespace now
        for pod in self.pods.values():
            assert pod.stdout is not None
            assert pod.stdout.readline() == "ready\n"
        self._wire()

    def inside(self, process: subprocess.Popen[Any], *command: str, text: str = "") -> str:
        done = subprocess.run(["nsenter", "-t", str(process.pid), "-n", *command], input=text, text=True,
                              capture_output=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def node_of(self, place: str) -> int:
        return int(place >= "y/c")

    def local(self, node: int) -> set[str]:
        return {address(place) for place in PLACES if self.node_of(place) == node}

    def nft(self, node: int, text: str) -> None:
        self.inside(self._nodes[node], "nft", "-f", "-", text=text)

    def rules(self, node: int) -> str:
        return self.inside(self._nodes[node], "nft", "list", "ruleset")

    def _wire(self) -> None:
        first, second = self._nodes
        self.inside(first, "ip", "-batch", "-", text="\n".join([
            "link set lo up", f"link add trunk type veth peer name trunk netns {second.pid}",
            "addr add 10.7.0.1/24 dev trunk", "link set trunk up"]))
        self.inside(second, "ip", "-batch", "-", text="link set lo up\naddr add 10.7.0.2/24 dev trunk\n"
                                                      "link set trunk up\n")
        for node in self._nodes:
            self.inside(node, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for place, process in self.pods.items():
            node, link = self._nodes[self.node_of(place)], "v" + place.replace("/", "")
            self.inside(node, "ip", "-batch", "-", text="\n".join([
                f"link add {link} type veth peer name eth0 netns {process.pid}", f"link set {link} up",
                f"addr add 169.254.1.1/32 dev {link}", f"route add {address(place)}/32 dev {link}"]))
            self.inside(process, "ip", "-batch", "-", text="\n".join([
                "link set lo up", f"addr add {address(place)}/32 dev eth0", "link set eth0 up",
                "route add 169.254.1.1 dev eth0", "route add default via 169.254.1.1"]))
            other = self._nodes[1 - self.node_of(place)]
            self.inside(other, "ip", "route", "add", f"{address(place)}/32", "via",
                        f"10.7.0.{self.node_of(place) + 1}")

    def passed(self, connections: Sequence[Connection], seconds: float) -> set[Connection]:
        """All at once: which of them came about in time."""
        mine = {place: [c for c in connections if c[0] == place] for place in PLACES}
        for place, process in self.pods.items():
            wanted = [(address(destination), port, protocol) for _, destination, port, protocol in mine[place]]
            assert process.stdin is not None
            process.stdin.write(json.dumps({"connections": wanted, "seconds": seconds}) + "\n")
            process.stdin.flush()
        result = set()
        for place, process in self.pods.items():
            assert process.stdout is not None
            result |= {mine[place][number] for number in json.loads(process.stdout.readline())}
        return result

    def close(self) -> None:
        for process in (*self.pods.values(), *self._nodes):
            assert process.stdin is not None
            process.stdin.close()
            process.wait(10)
