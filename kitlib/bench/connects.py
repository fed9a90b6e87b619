"""How many connections a second: a server and a client in one process, in whatever network it is started.

    python -m kitlib.bench.connects SERVER CLIENT SECONDS     both "address:port"; prints the rate

The client connects to one address, the server listens on another: what is between them is being measured.
"""

from __future__ import annotations

import socket
import sys
import threading
import time

WARM_UP = 100


def main(server: str, client: str, seconds: float) -> float:
    listener = socket.create_server(_place(server), backlog=1024)
    threading.Thread(target=_serve, args=(listener,), daemon=True).start()
    target = _place(client)
    for _ in range(WARM_UP):
        _connect(target)
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        _connect(target)
        count += 1
    return count / (time.perf_counter() - began)


def _place(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return address, int(port)


def _serve(listener: socket.socket) -> None:
    while True:
        listener.accept()[0].close()


def _connect(target: tuple[str, int]) -> None:
    with socket.create_connection(target, timeout=5) as connection:
        connection.recv(1)


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
