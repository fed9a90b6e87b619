"""What a check asks in a running container: one short command, through the API (exec), on any cluster."""

from __future__ import annotations

from kitlib.checks.world import World
from kitlib.client import streams
from kitlib.objects.errors import StatusError

SECONDS = 10.0


def run(world: World, pod: str, *command: str, container: str = "") -> str | None:
    """What a command prints in a container, without the last line end; None if it failed or could not run."""
    try:
        pipe = streams.execute(world.client.transport, world.namespace, pod, command, container=container)
    except (StatusError, OSError):
        return None
    parts = []
    pipe.sock.settimeout(SECONDS)
    try:
        while data := pipe.sock.recv(65536):
            parts.append(data)
    except OSError:
        return None
    finally:
        pipe.sock.close()
    if not pipe.wait(SECONDS) or pipe.code != 0:
        return None
    return b"".join(parts).decode(errors="replace").rstrip("\n")
