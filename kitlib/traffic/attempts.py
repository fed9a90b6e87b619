"""Many connections from a Pod at once, only to see which come about: how a matrix of who reaches whom is measured.

    attempts(client, "lab16", "client", ["10.0.0.2:8080", …], seconds=1) ──▶ {"10.0.0.2:8080": "connected", …}

    connected    somebody accepted
    refused      the way is open, nobody listens
    timeout      nothing came back: dropped
    unreachable  no way there

One little program in the Pod tries all of them side by side, so that a row of time-outs costs one.  It is python3 where
the image has it, else nc (busybox's or another).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from kitlib.client import Client
from kitlib.client.streams import execute
from kitlib.objects.errors import StatusError

CONNECTED, REFUSED, TIMEOUT, UNREACHABLE = "connected", "refused", "timeout", "unreachable"
START_SECONDS = 20.0

_PYTHON = """
import errno, json, select, socket, sys, time
seconds, waiting, found = float(sys.argv[1]), {}, {}
words = {0: "connected", errno.ECONNREFUSED: "refused", errno.ETIMEDOUT: "timeout"}
for target in sys.argv[2:]:
    host, _, port = target.rpartition(":")
    one = socket.socket(); one.setblocking(False)
    code = one.connect_ex((host, int(port)))
    if code == errno.EINPROGRESS:
        waiting[one] = target
    else:
        found[target] = words.get(code, "unreachable"); one.close()
end = time.monotonic() + seconds
while waiting and time.monotonic() < end:
    for one in select.select([], list(waiting), [], max(0, end - time.monotonic()))[1]:
        found[waiting.pop(one)] = words.get(one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "unreachable")
for target in waiting.values():
    found[target] = "timeout"
for target, outcome in found.items():
    print(target, outcome)
"""

# $1 the Python program, $2 seconds, then the targets
_SHELL = """
program=$1; seconds=$2; shift 2
if command -v python3 >/dev/null 2>&1; then exec python3 -ISc "$program" "$seconds" "$@"; fi
if ! command -v nc >/dev/null 2>&1; then echo kit:tools; exit 1; fi
whole=${seconds%.*}; [ "${whole:-0}" -ge 1 ] || whole=1
for target in "$@"; do
  ( if said=$(nc -w "$whole" "${target%:*}" "${target##*:}" </dev/null 2>&1 >/dev/null); then echo "$target connected"
    else case "$said" in
      *refused*) echo "$target refused" ;;
      *"timed out"*|*Terminated*|"") echo "$target timeout" ;;
      *) echo "$target unreachable" ;;
    esac; fi ) &
done
wait
"""


def attempts(client: Client, namespace: str, pod: str, targets: Iterable[str], *, seconds: float = 1.0,
             container: str = "") -> dict[str, str]:
    """The outcome for each "ip:port".  Raises StatusError if the Pod cannot be used, ValueError if it lacks a tool."""
    wanted = sorted(set(targets))
    if not wanted:
        return {}
    command = ["sh", "-c", _SHELL, "kit", _PYTHON, f"{seconds:g}", *wanted]
    chosen = container or default_container(client, namespace, pod)
    pipe = execute(client.transport, namespace, pod, command, container=chosen)  # type: ignore[arg-type]
    pipe.sock.settimeout(seconds + START_SECONDS)
    said = bytearray()
    try:
        while data := pipe.sock.recv(65536):
            said += data
    except TimeoutError:
        raise ValueError(f"Pod {namespace}/{pod} did not say in time what it reached") from None
    finally:
        pipe.sock.close()
    found = dict(line.rsplit(" ", 1) for line in said.decode(errors="replace").splitlines() if " " in line)
    missing = [target for target in wanted if target not in found]
    if b"kit:tools" in said:
        raise ValueError(f"Pod {namespace}/{pod} has neither python3 nor nc to connect with; use an image that has "
                         "one, such as busybox")
    if missing:
        pipe.wait(1.0)
        raise ValueError(f"Pod {namespace}/{pod} did not say whether it reached {', '.join(missing)}: "
                         f"{json.dumps(pipe.error or said.decode(errors='replace'))}")
    return {target: found[target] for target in wanted}


def default_container(client: Client, namespace: str, pod: str) -> str:
    """As kubectl exec chooses: the annotated one, else the first."""
    found = client.get("pods", namespace, pod)
    annotations = found["metadata"].get("annotations") or {}
    return str(annotations.get("kubectl.kubernetes.io/default-container") or found["spec"]["containers"][0]["name"])


def measure(client: Client, cells: Iterable[Mapping[str, Any]], *, seconds: float = 1.0) -> dict[tuple[str, str], str]:
    """Try the TCP cells of a matrix (from: "namespace/pod", ip, port), all Pods side by side.

    (from, "ip:port") → outcome; a Pod that cannot be used has "unknown: why".
    """
    rows: dict[str, list[str]] = {}
    for cell in cells:
        if cell["protocol"] == "TCP":
            rows.setdefault(cell["from"], []).append(f"{cell['ip']}:{cell['port']}")
    result: dict[tuple[str, str], str] = {}

    def one(source: str) -> None:
        namespace, _, pod = source.partition("/")
        try:
            found = attempts(client, namespace, pod, rows[source], seconds=seconds)
        except (StatusError, ValueError, OSError) as error:
            found = dict.fromkeys(rows[source], f"unknown: {error}")
        result.update({(source, target): outcome for target, outcome in found.items()})

    threads = [threading.Thread(target=one, args=(source,), name=f"measure {source}") for source in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return result
