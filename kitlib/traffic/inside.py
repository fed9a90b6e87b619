"""A connection that begins in a Pod: its address, its network policies, its names.

A little program is started in a container of the Pod (as `kubectl exec` does) that connects and then only copies bytes;
HTTP and TLS are spoken here.  It is python3 where the image has it, else nc, else bash, so most images will do.

A Pod asks the DNS server in its own /etc/resolv.conf.  Where the runtime could give it none of its own (no namespaces,
no proot), the name is resolved here, as that Pod would.
"""

from __future__ import annotations

import time

from kitlib.client.streams import Pipe, execute
from kitlib.objects.errors import StatusError
from kitlib.traffic.failure import Failure, Unreachable
from kitlib.traffic.network import Network
from kitlib.traffic.resolve import look_up

# Says "connected" first; whatever else is said first, on stderr, is why not.
PYTHON = """
import os, select, socket, sys
host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
try:
    s = socket.create_connection((host, port), seconds)
except socket.gaierror as e:
    sys.exit("kit:dns")
except socket.timeout:
    sys.exit("kit:timeout")
except OSError as e:
    sys.exit("kit:refused" if e.errno == 111 else "kit:unreachable " + (e.strerror or str(e)))
s.settimeout(None)
os.write(2, b"kit:connected")
sources = [0, s]
while s in sources:
    for ready in select.select(sources, [], [])[0]:
        try:
            data = s.recv(65536) if ready is s else os.read(0, 65536)
        except OSError:
            sys.exit("kit:reset")
        if ready is s and data:
            view = memoryview(data)
            while view:
                view = view[os.write(1, view):]
        elif ready is not s and data:
            try:
                s.sendall(data)
            except OSError:
                sys.exit("kit:reset")
        else:
            sources.remove(ready)
"""

# $1 name, $2 port, $3 seconds, $4 the DNS server, $5 the address in case that is not this Pod's, $6 the Python program
SHELL = """
host=$1
if [ -n "$5" ] && ! grep -q "nameserver $4" /etc/resolv.conf 2>/dev/null; then host=$5; fi
if command -v python3 >/dev/null 2>&1; then exec python3 -ISc "$6" "$host" "$2" "$3"; fi
if command -v nc >/dev/null 2>&1; then exec nc "$host" "$2"; fi
if command -v bash >/dev/null 2>&1; then
  exec bash -c 'exec 3<>/dev/tcp/$0/$1 || exit 1; cat <&3 & cat >&3; wait' "$host" "$2"
fi
echo kit:tools >&2; exit 127
"""
START_SECONDS = 10.0


def dial_from(network: Network, namespace: str, pod: str, host: str, port: int, *, container: str = "",
              seconds: float = 5.0) -> InsideConnection:
    """Connect from a Pod.  Raises Unreachable when nothing listens there, StatusError when the Pod cannot be used."""
    began = time.monotonic()
    address = _address(network, namespace, host)
    command = ["sh", "-c", SHELL, "kit", host, str(port), f"{seconds:g}", network.dns, address, PYTHON]
    pipe = execute(network.client.transport, namespace, pod, command, container=container)  # type: ignore[arg-type]
    connection = InsideConnection(pipe, f"{host} port {port}", pod)
    connection.sock.settimeout(seconds)
    connection.began = began
    return connection


def _address(network: Network, namespace: str, host: str) -> str:
    """What a Pod of that namespace would find, for Pods that cannot ask; "" where that is not ours to know."""
    if network.through_api or not network.dns or host.replace(".", "").isdigit():
        return ""
    try:
        found = look_up(network.conf(namespace), host).addresses
    except (Unreachable, ValueError):
        return ""
    return found[0] if found else ""


class InsideConnection:
    """`sock` is the connection.  `failure` after it ended without an answer: what the program in the Pod said."""

    def __init__(self, pipe: Pipe, target: str, pod: str) -> None:
        self.pipe, self.sock, self._target, self._pod = pipe, pipe.sock, target, pod
        self.began = 0.0

    def failure(self, otherwise: Failure) -> Failure:
        """Why there was no answer, if the Pod's side knows better than this one."""
        if otherwise.kind != "timeout":
            self.pipe.wait(1.0)
        said = self.pipe.error
        taken = f"after {(time.monotonic() - self.began) * 1000:.0f} ms"
        if "kit:tools" in said or "executable file not found" in said or "no such file or directory" in said:
            return Failure("unreachable", f"Pod {self._pod} has neither python3 nor nc nor bash to connect with; use a "
                                          f"Pod whose image has one, such as busybox")
        if "kit:connected" in said:
            return Failure("reset", "Recv failure: Connection reset by peer") if "kit:reset" in said else otherwise
        if "kit:dns" in said or "bad address" in said or "Name or service not known" in said:
            return Failure("dns", f"Could not resolve host: {self._target.partition(' ')[0]}")
        if "kit:timeout" in said or "timed out" in said:
            return Failure("timeout", f"Connection to {self._target} timed out {taken}")
        if "refused" in said:
            return Failure("refused", f"Failed to connect to {self._target} {taken}: Connection refused")
        if said.startswith("kit:unreachable"):
            return Failure("unreachable", f"Failed to connect to {self._target} {taken}: {said[16:].strip()}")
        if self.pipe.code not in (0, None):
            return Failure("unreachable", f"Failed to connect to {self._target} {taken}: "
                                          f"{said or f'the program in the Pod ended with {self.pipe.code}'}")
        return otherwise


def refused(pod: str, error: StatusError) -> Unreachable:
    """The Pod could not be used at all."""
    return Unreachable(Failure("unreachable", f"Pod {pod} cannot ask: {error.message}"))


